// Pipelines of the Go SDK, each a job of its own on a job endpoint over LOOPBACK.
//
// The DoFns run in this process, so what a pipeline computes is recorded here and compared once its job has ended: a run that
// loses, doubles or never delivers an element differs from what is wanted. A line for each pipeline and the totals go to standard
// output.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/metrics"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/x/beamx"
)

var (
	only    = flag.String("only", "", "Runs the pipelines whose name matches this regular expression.")
	timeout = flag.Duration("job_timeout", 60*time.Second, "How long one pipeline may take.")
)

// A job is one pipeline with what it is to record (in any order) and, where that is not all, what else is to hold.
type job struct {
	name    string
	build   func(s beam.Scope) beam.PCollection // of the lines to record
	want    []string
	metrics func(metrics.Results) error
	fails   string // part of the error that the job ends with; empty: it ends well
}

var jobs []job

func init() {
	beam.RegisterDoFn(&record{})
	beam.RegisterDoFn(&recordInFull{})
}

var records struct {
	sync.Mutex
	lines map[string][]string
}

func note(job, line string) {
	records.Lock()
	defer records.Unlock()
	records.lines[job] = append(records.lines[job], line)
}

func recorded(job string) []string {
	records.Lock()
	defer records.Unlock()
	return slices.Sorted(slices.Values(records.lines[job]))
}

// record notes every line under the job's name.
type record struct{ Job string }

func (r *record) ProcessElement(line string) { note(r.Job, line) }

// recordInFull notes every line with its timestamp, its window and its pane, each but the default.
type recordInFull struct{ Job string }

var timings = map[int]string{0: "early", 1: "on time", 2: "late"}

func (r *recordInFull) ProcessElement(pane beam.PaneInfo, window beam.Window, timestamp beam.EventTime, line string) {
	line = fmt.Sprintf("%s @%v", line, timestamp)
	if text := fmt.Sprint(window); text != "[*]" {
		line += " " + text
	}
	if timing, ok := timings[int(pane.Timing)]; ok {
		line = fmt.Sprintf("%s %s %d", line, timing, pane.Index)
		if pane.IsLast {
			line += " last"
		}
	}
	note(r.Job, line)
}

// inFull has what a pipeline makes recorded with timestamps, windows and panes; it makes nothing else to record.
func inFull(s beam.Scope, job string, lines beam.PCollection) beam.PCollection {
	beam.ParDo0(s, &recordInFull{Job: job}, lines)
	return beam.PCollection{}
}

func (j *job) run() error {
	ctx, cancel := context.WithTimeout(context.Background(), *timeout)
	defer cancel()
	p, s := beam.NewPipelineWithRoot()
	if lines := j.build(s); lines.IsValid() {
		beam.ParDo0(s, &record{Job: j.name}, lines)
	}
	result, err := beamx.RunWithMetrics(ctx, p)
	if j.fails != "" {
		if err == nil || !strings.Contains(err.Error(), j.fails) {
			return fmt.Errorf("the job is to fail with %q, not: %v", j.fails, err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("the job: %w (recorded: %q)", err, recorded(j.name))
	}
	if got, want := recorded(j.name), slices.Sorted(slices.Values(j.want)); !slices.Equal(got, want) {
		return fmt.Errorf("%q is not %q", got, want)
	}
	if j.metrics == nil {
		return nil
	}
	if result == nil {
		return errors.New("no metrics")
	}
	return j.metrics(result.Metrics())
}

func main() {
	flag.Parse()
	beam.Init()
	records.lines = map[string][]string{}
	wanted := regexp.MustCompile(*only)
	passed, failed := 0, 0
	for _, j := range jobs {
		if !wanted.MatchString(j.name) {
			continue
		}
		begin := time.Now()
		if err := j.run(); err != nil {
			fmt.Printf("FAILED  %s: %v\n", j.name, err)
			failed++
		} else {
			fmt.Printf("passed  %s (%.1f s)\n", j.name, time.Since(begin).Seconds())
			passed++
		}
	}
	fmt.Printf("%d passed, %d failed, 0 skipped\n", passed, failed)
	if failed > 0 {
		os.Exit(1)
	}
}
