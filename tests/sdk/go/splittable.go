package main

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/sdf"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/rtrackers/offsetrange"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/transforms/periodic"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/transforms/stats"
)

func init() {
	for _, fn := range []any{&ranges{}, &resuming{}, &estimating{}, &stateOfEstimator{}} {
		beam.RegisterDoFn(fn)
	}
	beam.RegisterFunction(countText)
	beam.RegisterFunction(countValues)
	beam.RegisterType(reflect.TypeOf((*offsetrange.Restriction)(nil)).Elem())

	numbers := func(n int) []string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprint(i))
		}
		return list
	}
	jobs = append(jobs,
		job{name: "splittable DoFn", want: slices.Concat(numbers(5), numbers(20)), build: func(s beam.Scope) beam.PCollection {
			return beam.ParDo(s, &ranges{}, beam.Create(s, 5, 20))
		}},
		job{name: "splittable DoFn of a stream", want: slices.Concat(numbers(5), numbers(20)), build: func(s beam.Scope) beam.PCollection {
			return beam.ParDo(s, &ranges{}, newStream().add(1000, 5).watermark(2000).add(3000, 20).end().in(s))
		}},
		job{name: "self-checkpoints", want: numbers(8), build: func(s beam.Scope) beam.PCollection {
			return beam.ParDo(s, &resuming{Each: 3}, beam.Create(s, 8))
		}},
		job{name: "self-checkpoints with a delay", want: numbers(4), build: func(s beam.Scope) beam.PCollection {
			return beam.ParDo(s, &resuming{Each: 1, Delay: 50 * time.Millisecond}, beam.Create(s, 4))
		}},
		job{name: "self-checkpoints and a grouping", want: []string{"8"}, build: func(s beam.Scope) beam.PCollection {
			return beam.ParDo(s, text, stats.CountElms(s, beam.ParDo(s, &resuming{Each: 3}, beam.Create(s, 8))))
		}},
		job{name: "manual watermark", build: func(s beam.Scope) beam.PCollection {
			windows := beam.WindowInto(s, window.NewFixedWindows(2*time.Second), beam.ParDo(s, &estimating{Job: "manual watermark"}, beam.Create(s, 6)))
			return inFull(s, "manual watermark", beam.ParDo(s, panes, beam.GroupByKey(s, beam.AddFixedKey(s, windows))))
		}, want: []string{"0 1 @1999 [0:2000) on time 0 last", "2 3 @3999 [2000:4000) on time 0 last", "4 5 @5999 [4000:6000) on time 0 last"}},
		job{name: "observed watermark with state", build: func(s beam.Scope) beam.PCollection {
			windows := beam.WindowInto(s, window.NewFixedWindows(2*time.Second), beam.ParDo(s, &stateOfEstimator{}, beam.Create(s, 6)))
			return inFull(s, "observed watermark with state", beam.ParDo(s, panes, beam.GroupByKey(s, beam.AddFixedKey(s, windows))))
		}, want: []string{"0 1 @1999 [0:2000) on time 0 last", "2 3 @3999 [2000:4000) on time 0 last", "4 5 @5999 [4000:6000) on time 0 last"}},
		job{name: "periodic impulse", want: []string{"5"}, build: func(s beam.Scope) beam.PCollection {
			begin := time.Now()
			impulses := periodic.Impulse(s, begin, begin.Add(500*time.Millisecond), 100*time.Millisecond, false)
			return beam.ParDo(s, text, stats.CountElms(s, impulses))
		}},
		job{name: "periodic impulse in windows", want: []string{"1", "1", "1", "1", "1"}, build: func(s beam.Scope) beam.PCollection {
			begin := time.Now()
			impulses := periodic.Impulse(s, begin, begin.Add(500*time.Millisecond), 100*time.Millisecond, true)
			return beam.ParDo(s, countValues, beam.GroupByKey(s, beam.AddFixedKey(s, impulses)))
		}},
		job{name: "periodic side input", want: []string{"3"}, build: func(s beam.Scope) beam.PCollection {
			begin := time.Now()
			impulses := periodic.Impulse(s, begin, begin.Add(300*time.Millisecond), 100*time.Millisecond, false)
			return beam.ParDo(s, countText, beam.Impulse(s), beam.SideInput{Input: impulses})
		}},
	)
}

func countText(_ []byte, side func(*[]byte) bool) string {
	count := 0
	var value []byte
	for side(&value) {
		count++
	}
	return fmt.Sprint(count)
}

func countValues(_ int, values func(*[]byte) bool) string { return countText(nil, values) }

// offsets is what the splittable DoFns here share: the numbers from 0 to the element.
type offsets struct{}

func (offsets) CreateInitialRestriction(n int) offsetrange.Restriction {
	return offsetrange.Restriction{Start: 0, End: int64(n)}
}

func (offsets) RestrictionSize(_ int, r offsetrange.Restriction) float64 { return r.Size() }

func (offsets) CreateTracker(r offsetrange.Restriction) *sdf.LockRTracker {
	return sdf.NewLockRTracker(offsetrange.NewTracker(r))
}

func start(rt *sdf.LockRTracker) int64 { return rt.GetRestriction().(offsetrange.Restriction).Start }

type ranges struct{ offsets }

func (*ranges) SplitRestriction(_ int, r offsetrange.Restriction) []offsetrange.Restriction {
	return r.EvenSplits(3)
}

func (*ranges) ProcessElement(rt *sdf.LockRTracker, _ int, emit func(string)) {
	for i := start(rt); rt.TryClaim(i); i++ {
		emit(fmt.Sprint(i))
	}
}

type whole struct{ offsets }

func (whole) SplitRestriction(_ int, r offsetrange.Restriction) []offsetrange.Restriction {
	return []offsetrange.Restriction{r}
}

// resuming gives Each numbers at a time.
type resuming struct {
	whole
	Each  int
	Delay time.Duration
}

func (f *resuming) ProcessElement(rt *sdf.LockRTracker, _ int, emit func(string)) sdf.ProcessContinuation {
	i := start(rt)
	for range f.Each {
		if !rt.TryClaim(i) {
			return sdf.StopProcessing()
		}
		emit(fmt.Sprint(i))
		i++
	}
	return sdf.ResumeProcessingIn(f.Delay)
}

// estimating gives a number a second of event time, and moves its watermark by hand.
type estimating struct {
	whole
	Job string
}

func (f *estimating) CreateWatermarkEstimator() *sdf.ManualWatermarkEstimator {
	return &sdf.ManualWatermarkEstimator{}
}

func (f *estimating) ProcessElement(we *sdf.ManualWatermarkEstimator, rt *sdf.LockRTracker, _ int, emit func(beam.EventTime, int)) sdf.ProcessContinuation {
	i := start(rt)
	if !rt.TryClaim(i) {
		return sdf.StopProcessing()
	}
	emit(mtime.FromMilliseconds(i*1000), int(i))
	we.UpdateWatermark(at((i + 1) * 1000))
	return sdf.ResumeProcessingIn(0)
}

// stateOfEstimator has an estimator that observes timestamps and keeps its state from checkpoint to checkpoint.
type stateOfEstimator struct{ whole }

func (*stateOfEstimator) InitialWatermarkEstimatorState(_ beam.EventTime, _ offsetrange.Restriction, _ int) int64 {
	return math.MinInt64
}

func (*stateOfEstimator) CreateWatermarkEstimator(ms int64) *sdf.TimestampObservingWatermarkEstimator {
	return &sdf.TimestampObservingWatermarkEstimator{State: mtime.FromMilliseconds(max(ms, int64(mtime.MinTimestamp))).ToTime()}
}

func (*stateOfEstimator) WatermarkEstimatorState(we *sdf.TimestampObservingWatermarkEstimator) int64 {
	return int64(mtime.FromTime(we.State))
}

func (*stateOfEstimator) ProcessElement(we *sdf.TimestampObservingWatermarkEstimator, rt *sdf.LockRTracker, _ int, emit func(beam.EventTime, int)) (sdf.ProcessContinuation, error) {
	i := start(rt)
	if want := mtime.FromMilliseconds((i - 1) * 1000); i > 0 && mtime.FromTime(we.State) != want {
		return sdf.StopProcessing(), errors.New("the estimator's state is lost")
	}
	if !rt.TryClaim(i) {
		return sdf.StopProcessing(), nil
	}
	emit(mtime.FromMilliseconds(i*1000), int(i))
	return sdf.ResumeProcessingIn(0), nil
}
