package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window/trigger"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/teststream"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/transforms/stats"
)

// A stream is a TestStream whose events are given in a row; times are in milliseconds.
type stream struct{ teststream.Config }

func newStream() *stream { return &stream{teststream.NewConfig()} }

func (c *stream) add(ms int64, elements ...any) *stream {
	if err := c.AddElements(ms, elements...); err != nil {
		panic(err)
	}
	return c
}

func (c *stream) watermark(ms int64) *stream {
	if err := c.AdvanceWatermark(ms); err != nil {
		panic(err)
	}
	return c
}

func (c *stream) clock(ms int64) *stream { c.AdvanceProcessingTime(ms); return c }

func (c *stream) end() *stream {
	if err := c.AdvanceWatermarkToInfinity(); err != nil {
		panic(err)
	}
	return c
}

func (c *stream) in(s beam.Scope) beam.PCollection { return teststream.Create(s, c.Config) }

func init() {
	for _, fn := range []any{typed, panes, sumText, mainWithSide, mainWithList} {
		beam.RegisterFunction(fn)
	}
	type5 := func(name string, value ...any) job {
		var want []string
		for _, v := range value {
			want = append(want, typed(v))
		}
		return job{name: "stream of " + name, build: func(s beam.Scope) beam.PCollection {
			return beam.ParDo(s, typed, newStream().add(1000, value...).end().in(s))
		}, want: want}
	}
	jobs = append(jobs,
		type5("int", 1, -2, 300), type5("int64", int64(1), int64(-5)), type5("float64", 0.5, -1.5), type5("bool", true, false),
		type5("string", "", "a", "żółw"), type5("bytes", []byte{}, []byte("ab")), type5("rows", point{X: 1, Name: "a"}, point{X: 2}),
		type5("opaque values", opaque{7}), type5("int32", int32(7)), type5("uint8", uint8(7)), type5("float32", float32(1.5)),

		job{name: "assertions on a stream", build: func(s beam.Scope) beam.PCollection {
			col := newStream().add(100, 1, 2).watermark(200).add(300, 3).end().in(s)
			passert.Count(s, col, "numbers", 3)
			passert.EqualsList(s, col, []int{3, 2, 1})
			passert.Sum(s, col, "sum", 3, 6)
			return beam.ParDo(s, text, stats.Sum(s, col))
		}, want: []string{"6"}},

		job{name: "an assertion on a stream that does not hold", build: func(s beam.Scope) beam.PCollection {
			passert.EqualsList(s, newStream().add(100, 1, 2).end().in(s), []int{1, 2, 7})
			return beam.PCollection{}
		}, fails: "7"},

		job{name: "the end of a stream comes unsaid", build: func(s beam.Scope) beam.PCollection {
			return grouped(s, newStream().add(1000, 1, 2).watermark(5000).in(s), window.NewFixedWindows(10*time.Second))
		}, want: []string{"1 2"}},

		paned("fixed windows", newStream().add(1000, 1).add(11000, 2).watermark(10000).add(12000, 3).watermark(20000).add(13000, 4).end(),
			window.NewFixedWindows(10*time.Second), nil,
			"1 @9999 [0:10000) on time 0 last", "2 3 @19999 [10000:20000) on time 0 last"),
		paned("sliding windows", newStream().add(1000, 1).add(6000, 2).end(), window.NewSlidingWindows(5*time.Second, 10*time.Second), nil,
			"1 @4999 [-5000:5000) on time 0 last", "1 2 @9999 [0:10000) on time 0 last", "2 @14999 [5000:15000) on time 0 last"),
		paned("sessions", newStream().add(1000, 1).add(9000, 2).add(5000, 3).watermark(30000).add(31000, 4).end(),
			window.NewSessions(5*time.Second), nil,
			"1 2 3 @13999 [1000:14000) on time 0 last", "4 @35999 [31000:36000) on time 0 last"),
		paned("sessions that touch", newStream().add(1000, 1).add(6000, 2).end(), window.NewSessions(5*time.Second), nil,
			"1 @5999 [1000:6000) on time 0 last", "2 @10999 [6000:11000) on time 0 last"),

		paned("allowed lateness", newStream().add(1000, 1).watermark(10000).add(2000, 2).watermark(14000).add(3000, 3).watermark(15001).add(4000, 4).end(),
			window.NewFixedWindows(10*time.Second), with(beam.AllowedLateness(5*time.Second)),
			"1 @9999 [0:10000) on time 0", "2 @9999 [0:10000) late 1", "3 @9999 [0:10000) late 2"),
		paned("allowed lateness, accumulating", newStream().add(1000, 1).watermark(10000).add(2000, 2).end(),
			window.NewFixedWindows(10*time.Second), with(beam.AllowedLateness(5*time.Second), beam.PanesAccumulate()),
			"1 @9999 [0:10000) on time 0", "1 2 @9999 [0:10000) late 1"),

		triggered("always", trigger.Always(), "1", "2", "3", "4", "5"),
		triggered("a repeated count", trigger.Repeat(trigger.AfterCount(2)), "1 2", "3 4", "5"),
		triggered("a count, once", trigger.AfterCount(2), "1 2"),
		triggered("a count that is never met", trigger.AfterCount(20), "1 2 3 4 5"),
		triggered("never", trigger.Never(), "1 2 3 4 5"),
		triggered("the default", trigger.Default(), "1 2 3 4 5"),
		triggered("the end of the window", trigger.AfterEndOfWindow(), "1 2 3 4 5"),
		triggered("the end of the window and early ones", trigger.AfterEndOfWindow().EarlyFiring(trigger.AfterCount(3)), "1 2 3", "4 5"),
		triggered("processing time", trigger.Repeat(trigger.AfterProcessingTime().PlusDelay(5*time.Second)), "1 2 3 4", "5"),
		triggered("each", trigger.AfterEach([]trigger.Trigger{trigger.AfterCount(3), trigger.AfterCount(2)}), "1 2 3", "4 5"),
		triggered("any", trigger.AfterAny([]trigger.Trigger{trigger.AfterCount(2), trigger.AfterProcessingTime().PlusDelay(time.Hour)}), "1 2"),
		triggered("all", trigger.AfterAll([]trigger.Trigger{trigger.AfterCount(2), trigger.AfterProcessingTime().PlusDelay(5 * time.Second)}), "1 2 3 4"),
		triggered("or finally", trigger.OrFinally(trigger.Repeat(trigger.AfterCount(1)), trigger.AfterCount(4)), "1", "2", "3", "4"),
		triggered("synchronized processing time", trigger.Repeat(trigger.AfterSynchronizedProcessingTime()), "1 2 3", "4", "5"),
		triggered("aligned processing time", trigger.Repeat(trigger.AfterProcessingTime().AlignedTo(4*time.Second, time.Time{})), "1 2 3", "4", "5"),

		paned("early and late panes", newStream().add(1000, 1, 2).add(2000, 3).watermark(10000).add(3000, 4).add(4000, 5).end(),
			window.NewFixedWindows(10*time.Second), with(beam.AllowedLateness(time.Minute), beam.PanesAccumulate(),
				beam.Trigger(trigger.AfterEndOfWindow().EarlyFiring(trigger.AfterCount(2)).LateFiring(trigger.AfterCount(1)))),
			"1 2 @9999 [0:10000) early 0", "1 2 3 @9999 [0:10000) on time 1", "1 2 3 4 @9999 [0:10000) late 2", "1 2 3 4 5 @9999 [0:10000) late 3"),

		job{name: "sums in windows", build: func(s beam.Scope) beam.PCollection {
			windows := beam.WindowInto(s, window.NewFixedWindows(10*time.Second), newStream().add(1000, 1, 2).add(11000, 3).end().in(s))
			return inFull(s, "sums in windows", beam.ParDo(s, text, stats.Sum(s, windows)))
		}, want: []string{"3 @9999 [0:10000) early 0", "3 @19999 [10000:20000) early 0"}},

		job{name: "flatten of a stream and a batch", build: func(s beam.Scope) beam.PCollection {
			col := newStream().add(1000, 1, 2).end().in(s)
			return beam.ParDo(s, text, beam.Flatten(s, col, beam.Create(s, 7)))
		}, want: []string{"1", "2", "7"}},

		job{name: "join of two streams", build: func(s beam.Scope) beam.PCollection {
			col := newStream().add(1000, "a=1").watermark(2000).add(3000, "a=2", "b=3").end().in(s)
			pairs := beam.ParDo(s, keyed, col)
			return beam.ParDo(s, joinThree, beam.CoGroupByKey(s, pairs, pairs, pairs))
		}, want: []string{"a 1,2|1,2|1,2", "b 3|3|3"}},

		job{name: "a stream at the side of a batch", build: func(s beam.Scope) beam.PCollection {
			col := newStream().add(1000, 1, 2).watermark(2000).add(3000, 4).end().in(s)
			return beam.ParDo(s, mainWithList, beam.Create(s, 100), beam.SideInput{Input: col})
		}, want: []string{"100 [1 2 4]"}},

		job{name: "windowed side input", build: func(s beam.Scope) beam.PCollection {
			col := newStream().add(1000, 1).add(11000, 2).watermark(10000).add(12000, 3).end().in(s)
			windows := beam.WindowInto(s, window.NewFixedWindows(10*time.Second), col)
			return beam.ParDo(s, mainWithSide, windows, beam.SideInput{Input: windows})
		}, want: []string{"1 of 1", "2 of 5", "3 of 5"}},

		job{name: "side input in wider windows", build: func(s beam.Scope) beam.PCollection {
			stamps := beam.ParDo(s, stamped, beam.Create(s, 1000, 6000, 11000))
			wide := beam.WindowInto(s, window.NewFixedWindows(10*time.Second), stamps)
			return beam.ParDo(s, mainWithSide, beam.WindowInto(s, window.NewFixedWindows(5*time.Second), stamps),
				beam.SideInput{Input: wide})
		}, want: []string{"1000 of 7000", "6000 of 7000", "11000 of 11000"}},

		job{name: "side input in sliding windows", build: func(s beam.Scope) beam.PCollection {
			stamps := beam.ParDo(s, stamped, beam.Create(s, 1000, 6000))
			slides := beam.WindowInto(s, window.NewSlidingWindows(5*time.Second, 10*time.Second), stamps)
			return beam.ParDo(s, mainWithSide, slides, beam.SideInput{Input: slides})
		}, want: []string{"1000 of 1000", "1000 of 7000", "6000 of 7000", "6000 of 6000"}},

		job{name: "side input in the global window", build: func(s beam.Scope) beam.PCollection {
			stamps := beam.ParDo(s, stamped, beam.Create(s, 1000, 11000))
			return beam.ParDo(s, mainWithSide, beam.WindowInto(s, window.NewFixedWindows(5*time.Second), stamps),
				beam.SideInput{Input: stamps})
		}, want: []string{"1000 of 12000", "11000 of 12000"}},
	)
}

func typed(value beam.T) string { return fmt.Sprintf("%T %v", value, value) }

func with(options ...beam.WindowIntoOption) []beam.WindowIntoOption { return options }

// panes joins the numbers of a pane.
func panes(_ int, numbers func(*int) bool) string { return strings.Join(sorted(numbers), " ") }

func sumText(_ int, sum int) string { return fmt.Sprint(sum) }

func mainWithSide(n int, side func(*int) bool) string {
	sum, v := 0, 0
	for side(&v) {
		sum += v
	}
	return fmt.Sprintf("%d of %d", n, sum)
}

func mainWithList(n int, side func(*int) bool) string { return fmt.Sprintf("%d %v", n, sorted(side)) }

func grouped(s beam.Scope, col beam.PCollection, fn *window.Fn, options ...beam.WindowIntoOption) beam.PCollection {
	windows := beam.WindowInto(s, fn, col, options...)
	return beam.ParDo(s, panes, beam.GroupByKey(s, beam.AddFixedKey(s, windows)))
}

// paned is a job that groups a stream under one key and records each pane with its timestamp, window and place.
func paned(name string, events *stream, fn *window.Fn, options []beam.WindowIntoOption, want ...string) job {
	return job{name: name, build: func(s beam.Scope) beam.PCollection {
		return inFull(s, name, grouped(s, events.in(s), fn, options...))
	}, want: want}
}

// triggered is a job with discarding panes of the global window: 1, 2 and 3 come together, 4 four seconds later, 5 after six more.
func triggered(name string, t trigger.Trigger, want ...string) job {
	events := newStream().add(1000, 1, 2, 3).clock(4000).add(2000, 4).clock(6000).watermark(10000).add(3000, 5).end()
	return job{name: "trigger: " + name, build: func(s beam.Scope) beam.PCollection {
		return grouped(s, events.in(s), window.NewGlobalWindows(), beam.Trigger(t), beam.PanesDiscard())
	}, want: want}
}
