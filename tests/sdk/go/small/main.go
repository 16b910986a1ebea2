// One small pipeline of the Go SDK: create, map, group by key and count, on a job endpoint.
//
// Each result is gathered under one key, sorted and written to a new file by a DoFn, in one go (LOOPBACK: the DoFn runs in this
// process). A run that loses, doubles or never delivers an element leaves a file that differs, none, or several. A line for each
// check and the totals go to standard output.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/transforms/stats"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/x/beamx"
)

var outputFolder = flag.String("output_folder", "", "Folder for the results (required).")

var words = []string{"beam", "post", "beam", "trestle", "deck", "beam", "post", "żółw", ""}

var wantGroups = []string{"0:", "4:beam beam beam deck post post", "7:trestle żółw"}

var wantCounts = []string{"=1", "beam=3", "deck=1", "post=2", "trestle=1", "żółw=1"}

func init() {
	register.Function1x2(byLength)
	register.Function2x1(joinSorted)
	register.Function2x1(formatCount)
	register.DoFn2x1[int, func(*string) bool, error](&writeSorted{})
	register.Iter1[string]()
}

func byLength(word string) (int, string) { return len(word), word }

func joinSorted(length int, values func(*string) bool) string {
	return fmt.Sprintf("%d:%s", length, strings.Join(sorted(values), " "))
}

func formatCount(word string, count int) string { return fmt.Sprintf("%s=%d", word, count) }

type writeSorted struct {
	Folder, Name string
}

func (w *writeSorted) ProcessElement(_ int, lines func(*string) bool) error {
	file, err := os.CreateTemp(w.Folder, w.Name+"-")
	if err != nil {
		return err
	}
	_, err = file.WriteString(strings.Join(sorted(lines), "\n"))
	return errors.Join(err, file.Close())
}

func sorted(values func(*string) bool) []string {
	var list []string
	var value string
	for values(&value) {
		list = append(list, value)
	}
	slices.Sort(list)
	return list
}

func write(s beam.Scope, lines beam.PCollection, name string) {
	beam.ParDo0(s, &writeSorted{Folder: *outputFolder, Name: name}, beam.GroupByKey(s, beam.AddFixedKey(s, lines)))
}

func check(name string, want []string) bool {
	files, _ := filepath.Glob(filepath.Join(*outputFolder, name+"-*"))
	if len(files) != 1 {
		fmt.Printf("FAILED  %s: %d files\n", name, len(files))
		return false
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		fmt.Printf("FAILED  %s: %v\n", name, err)
		return false
	}
	if got := strings.Split(string(text), "\n"); !slices.Equal(got, want) {
		fmt.Printf("FAILED  %s: %q is not %q\n", name, got, want)
		return false
	}
	fmt.Printf("passed  %s\n", name)
	return true
}

func main() {
	flag.Parse()
	beam.Init()

	p, s := beam.NewPipelineWithRoot()
	created := beam.CreateList(s.Scope("words"), words)
	grouped := beam.GroupByKey(s, beam.ParDo(s, byLength, created))
	write(s.Scope("groups"), beam.ParDo(s, joinSorted, grouped), "groups")
	write(s.Scope("counts"), beam.ParDo(s, formatCount, stats.Count(s, created)), "counts")

	err := beamx.Run(context.Background(), p)
	if err != nil {
		fmt.Printf("FAILED  the job: %v\n", err)
	} else {
		fmt.Println("passed  the job ends without an error")
	}
	passed := 0
	for _, ok := range []bool{err == nil, check("groups", wantGroups), check("counts", wantCounts)} {
		if ok {
			passed++
		}
	}
	fmt.Printf("%d passed, %d failed, 0 skipped\n", passed, 3-passed)
	if passed < 3 {
		os.Exit(1)
	}
}
