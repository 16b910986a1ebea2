package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/state"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/timers"
)

func init() {
	for _, fn := range []any{newValueFn(), newBagFn(), newSumming(), newAveraging(), newMapFn(), newSetFn(), newOrderedFn(), newEventTimers(),
		newDelayed(), newLooping(false), newCleared(), newUnheld(false)} {
		beam.RegisterDoFn(fn)
	}
	for _, fn := range []any{addInts, letters, stampedPair} {
		beam.RegisterFunction(fn)
	}
	stateful := func(name string, fn any, want ...string) {
		build := func(col func(beam.Scope) beam.PCollection) func(beam.Scope) beam.PCollection {
			return func(s beam.Scope) beam.PCollection { return beam.ParDo(s, fn, beam.ParDo(s, keyed, col(s))) }
		}
		jobs = append(jobs, job{name: name, want: want, build: build(func(s beam.Scope) beam.PCollection {
			return beam.Create(s, "a=1", "a=2", "b=3", "a=4")
		})}, job{name: name + " of a stream", want: want, build: build(func(s beam.Scope) beam.PCollection {
			return newStream().add(1000, "a=1", "a=2").watermark(1500).add(2000, "b=3").add(2500, "a=4").end().in(s)
		})})
	}
	stateful("value state", newValueFn(), "a 1", "a 2", "a 3", "b 1")
	stateful("bag state", newBagFn(), "a after 0", "a after 1", "a after 2", "b after 0")
	stateful("combining state", newSumming(), "a after 0", "a after 1", "a after 3", "b after 0")
	stateful("combining state of an accumulator", newAveraging(), "a after NaN", "a after 1.0", "a after 1.5", "b after NaN")
	stateful("map state", newMapFn(), "a 3: even=2 odd=1", "b 1: odd=1")
	stateful("set state", newSetFn(), "a 3: even odd", "b 1: odd")
	stateful("ordered list state", newOrderedFn(), "a after", "a after 1", "a after 2 1", "b after")

	jobs = append(jobs,
		job{name: "state in windows", build: func(s beam.Scope) beam.PCollection {
			col := newStream().add(1000, "a=1", "a=2").watermark(10000).add(11000, "a=3").end().in(s)
			windows := beam.WindowInto(s, window.NewFixedWindows(10*time.Second), col)
			return inFull(s, "state in windows", beam.ParDo(s, newValueFn(), beam.ParDo(s, keyed, windows)))
		}, want: []string{"a 1 @1000 [0:10000)", "a 2 @1000 [0:10000)", "a 1 @11000 [10000:20000)"}},

		timed("event time timers of a batch", false, newEventTimers(),
			"set 1 @1000", "set 2 @2000", "set 3 @1000", "a fires last with 3 @6000", "a fires tag with 3 @8500", "b fires last with 3 @6000", "b fires tag with 3 @8500"),
		timed("event time timers", true, newEventTimers(),
			"set 1 @1000", "set 2 @2000", "set 3 @1000", "a fires last with 3 @6000", "a fires tag with 3 @8500", "b fires last with 3 @6000", "b fires tag with 3 @8500"),
		timed("processing time timers of a batch", false, newDelayed(),
			"a fires with [1 2]", "b fires with [3]"),
		timed("processing time timers", true, newDelayed(),
			"a fires with [1 2]", "b fires with [3]"),
		timed("looping event time timers", true, newLooping(false),
			"a 1 @10000", "a 2 @20000", "a 3 @30000", "b 1 @10000", "b 2 @20000", "b 3 @30000"),
		timed("looping event time timers of a batch", false, newLooping(false),
			"a 1 @10000", "a 2 @20000", "a 3 @30000", "b 1 @10000", "b 2 @20000", "b 3 @30000"),
		timed("looping processing time timers", true, newLooping(true),
			"a 1", "a 2", "a 3", "b 1", "b 2", "b 3"),
		timed("looping processing time timers of a batch", false, newLooping(true),
			"a 1", "a 2", "a 3", "b 1", "b 2", "b 3"),
		timed("timers that are cleared", true, newCleared(),
			"kept a @9000", "kept b @9000"),
		timed("timers that are cleared in a batch", false, newCleared(),
			"kept a @9000", "kept b @9000"),
	)
	for _, held := range []bool{false, true} {
		name, want := "a timer that holds no watermark", []string{"1 @9999 [0:10000) late", "1 @19999"}
		if held {
			name = "a timer that holds the watermark"
		}
		_ = want
		jobs = append(jobs, job{name: name, build: func(s beam.Scope) beam.PCollection {
			col := newStream().add(1000, "a=1").watermark(15000).watermark(25000).end().in(s)
			fired := beam.ParDo(s, newUnheld(held), beam.ParDo(s, keyed, col))
			return inFull(s, name, grouped(s, fired, window.NewFixedWindows(10*time.Second)))
		}, want: map[bool][]string{true: {"1 2 @9999 [0:10000) on time 0 last"}, false: {"1 @9999 [0:10000) on time 0 last"}}[held]})
	}
}

func addInts(a, b int) int { return a + b }

func letters(n int) string {
	if n%2 == 0 {
		return "even"
	}
	return "odd"
}

type valueFn struct{ Count state.Value[int] }

func newValueFn() *valueFn { return &valueFn{state.MakeValueState[int]("count")} }

func (f *valueFn) ProcessElement(p state.Provider, key string, _ int) (string, error) {
	count, _, err := f.Count.Read(p)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s %d", key, count+1), f.Count.Write(p, count+1)
}

// bagFn adds to a bag, and clears it once it holds two.
type bagFn struct{ Seen state.Bag[string] }

func newBagFn() *bagFn { return &bagFn{state.MakeBagState[string]("seen")} }

func (f *bagFn) ProcessElement(p state.Provider, key string, n int) (string, error) {
	seen, _, err := f.Seen.Read(p)
	if err != nil {
		return "", err
	}
	line := fmt.Sprintf("%s after %d", key, len(seen))
	if len(seen) == 2 {
		return line, f.Seen.Clear(p)
	}
	return line, f.Seen.Add(p, fmt.Sprint(n))
}

// summing and averaging say the state of a key before each element (the SDK does not read back the first value that it adds).
type summing struct {
	Sum state.Combining[int, int, int]
}

func newSumming() *summing {
	return &summing{state.MakeCombiningState[int, int, int]("sum", addInts)}
}

func (f *summing) ProcessElement(p state.Provider, key string, n int) (string, error) {
	sum, _, err := f.Sum.Read(p)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s after %d", key, sum), f.Sum.Add(p, n)
}

type averaging struct {
	Mean state.Combining[meanAccumulator, float64, float64]
}

func newAveraging() *averaging {
	return &averaging{state.MakeCombiningState[meanAccumulator, float64, float64]("mean", &meanFn{})}
}

func (f *averaging) ProcessElement(p state.Provider, key string, n int) (string, error) {
	mean, _, err := f.Mean.Read(p)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s after %.1f", key, mean), f.Mean.Add(p, float64(n))
}

type mapFn struct{ Counts state.Map[string, int] }

func newMapFn() *mapFn { return &mapFn{state.MakeMapState[string, int]("counts")} }

func (f *mapFn) ProcessElement(p state.Provider, key string, n int, emit func(string)) error {
	kind, total := letters(n), 0
	count, _, err := f.Counts.Get(p, kind)
	if err != nil {
		return err
	}
	if err = f.Counts.Put(p, kind, count+1); err != nil {
		return err
	}
	if err = f.Counts.Put(p, "gone", 1); err != nil {
		return err
	}
	if err = f.Counts.Remove(p, "gone"); err != nil {
		return err
	}
	kinds, _, err := f.Counts.Keys(p)
	if err != nil {
		return err
	}
	slices.Sort(kinds)
	var list []string
	for _, kind := range kinds {
		count, _, err := f.Counts.Get(p, kind)
		if err != nil {
			return err
		}
		list, total = append(list, fmt.Sprintf("%s=%d", kind, count)), total+count
	}
	if total == 3 || key == "b" {
		emit(fmt.Sprintf("%s %d: %s", key, total, strings.Join(list, " ")))
		return f.Counts.Clear(p)
	}
	return nil
}

// setFn adds to a set and says it at the third element of "a" and the first of "b".
type setFn struct{ Seen state.Set[string] }

func newSetFn() *setFn { return &setFn{state.MakeSetState[string]("seen")} }

func (f *setFn) ProcessElement(p state.Provider, key string, n int, emit func(string)) error {
	if err := f.Seen.Add(p, fmt.Sprint(n)); err != nil {
		return err
	}
	if err := f.Seen.Add(p, letters(n)); err != nil {
		return err
	}
	seen, _, err := f.Seen.Keys(p)
	if err != nil || (key == "a" && len(seen) < 5) {
		return err
	}
	count := 0
	for _, value := range seen {
		if has, err := f.Seen.Contains(p, value); !has || err != nil {
			return fmt.Errorf("%s is in the set and is not: %w", value, err)
		}
		if value != "even" && value != "odd" {
			count++
			if err := f.Seen.Remove(p, value); err != nil {
				return err
			}
		}
	}
	kinds, _, err := f.Seen.Keys(p)
	slices.Sort(kinds)
	emit(fmt.Sprintf("%s %d: %s", key, count, strings.Join(kinds, " ")))
	return err
}

// orderedFn lists what it got before by falling number.
type orderedFn struct{ List state.OrderedList[string] }

func newOrderedFn() *orderedFn { return &orderedFn{state.MakeOrderedListState[string]("list")} }

func (f *orderedFn) ProcessElement(p state.Provider, key string, n int) (string, error) {
	list, _, err := f.List.Read(p)
	if err != nil {
		return "", err
	}
	line := fmt.Sprintf("%s after", key)
	for _, entry := range list {
		line += " " + entry.Value
	}
	return line, f.List.Add(p, int64(-n), fmt.Sprint(n))
}

// timed is a job of a DoFn with timers on a=1 at 1 s, a=2 at 2 s and b=3 at 1 s.
func timed(name string, isStream bool, fn any, want ...string) job {
	return job{name: name, want: want, build: func(s beam.Scope) beam.PCollection {
		var col beam.PCollection
		if isStream {
			col = newStream().add(1000, "a=1", "b=3").add(2000, "a=2").clock(50).watermark(2500).clock(1000).watermark(40000).clock(1000).clock(1000).end().in(s)
		} else {
			col = beam.ParDo(s, stampedPair, beam.Create(s, "1000 a=1", "1000 b=3", "2000 a=2"))
		}
		lines := beam.ParDo(s, fn, beam.ParDo(s, keyed, col))
		if strings.Contains(name, "processing") {
			return lines
		}
		return inFull(s, name, lines)
	}}
}

// stampedPair gives "ms pair" that timestamp.
func stampedPair(line string) (beam.EventTime, string) {
	var ms int64
	var pair string
	_, _ = fmt.Sscanf(line, "%d %s", &ms, &pair)
	return mtime.FromMilliseconds(ms), pair
}

func at(ms int64) time.Time { return mtime.FromMilliseconds(ms).ToTime() }

// eventTimers sets one timer anew with every element, and one with a tag, whose output is to be earlier than it fires.
type eventTimers struct {
	Timer timers.EventTime
	Sum   state.Value[int]
}

func newEventTimers() *eventTimers {
	return &eventTimers{timers.InEventTime("timer"), state.MakeValueState[int]("sum")}
}

func (f *eventTimers) ProcessElement(sp state.Provider, tp timers.Provider, key string, n int, emit func(string)) error {
	f.Timer.Set(tp, at(6000))
	f.Timer.Set(tp, at(9000), timers.WithTag("tag"), timers.WithOutputTimestamp(at(8500)))
	sum, _, err := f.Sum.Read(sp)
	if err != nil {
		return err
	}
	emit(fmt.Sprintf("set %d", n))
	return f.Sum.Write(sp, sum+n)
}

func (f *eventTimers) OnTimer(sp state.Provider, _ timers.Provider, key string, timer timers.Context, emit func(string)) error {
	sum, _, err := f.Sum.Read(sp)
	tag := timer.Tag
	if tag == "" {
		tag = "last"
	}
	emit(fmt.Sprintf("%s fires %s with %d", key, tag, sum))
	return err
}

// delayed gathers elements and says them once its timer fires.
type delayed struct {
	Timer timers.ProcessingTime
	Delay time.Duration
	Seen  state.Bag[int]
}

func newDelayed() *delayed {
	return &delayed{timers.InProcessingTime("timer"), 100 * time.Millisecond, state.MakeBagState[int]("seen")}
}

func (f *delayed) ProcessElement(sp state.Provider, tp timers.Provider, _ string, n int, _ func(string)) error {
	f.Timer.Set(tp, time.Now().Add(f.Delay))
	return f.Seen.Add(sp, n)
}

func (f *delayed) OnTimer(sp state.Provider, _ timers.Provider, key string, _ timers.Context, emit func(string)) error {
	seen, _, err := f.Seen.Read(sp)
	slices.Sort(seen)
	emit(fmt.Sprintf("%s fires with %v", key, seen))
	return err
}

// looping sets its timer three times.
type looping struct {
	Event        timers.EventTime
	Processing   timers.ProcessingTime
	Count        state.Value[int]
	IsProcessing bool
}

func newLooping(isProcessing bool) *looping {
	return &looping{timers.InEventTime("event"), timers.InProcessingTime("processing"), state.MakeValueState[int]("count"), isProcessing}
}

func (f *looping) set(tp timers.Provider, count int) {
	if f.IsProcessing {
		f.Processing.Set(tp, time.Now().Add(20*time.Millisecond))
	} else {
		f.Event.Set(tp, at(int64(count)*10000))
	}
}

func (f *looping) ProcessElement(sp state.Provider, tp timers.Provider, _ string, _ int, _ func(string)) error {
	count, _, err := f.Count.Read(sp)
	if count == 0 {
		f.set(tp, 1)
	}
	return err
}

func (f *looping) OnTimer(sp state.Provider, tp timers.Provider, key string, _ timers.Context, emit func(string)) error {
	count, _, err := f.Count.Read(sp)
	if err != nil {
		return err
	}
	count++
	emit(fmt.Sprintf("%s %d", key, count))
	if count < 3 {
		f.set(tp, count+1)
	}
	return f.Count.Write(sp, count)
}

// cleared sets two timers, and clears one when the other fires.
type cleared struct{ Kept, Dropped timers.EventTime }

func newCleared() *cleared {
	return &cleared{timers.InEventTime("kept"), timers.InEventTime("dropped")}
}

func (f *cleared) ProcessElement(tp timers.Provider, _ string, _ int, _ func(string)) {
	f.Kept.Set(tp, at(9000))
	f.Dropped.Set(tp, at(12000))
	f.Dropped.Set(tp, at(13000), timers.WithTag("tag"))
}

func (f *cleared) OnTimer(tp timers.Provider, key string, timer timers.Context, emit func(string)) {
	emit(timer.Family + " " + key)
	f.Dropped.Clear(tp)
	f.Dropped.ClearTag(tp, "tag")
}

// unheld passes its element on, and another when its timer fires at 20 s, at the element's timestamp or, unheld, at 20 s.
type unheld struct {
	Timer  timers.EventTime
	IsHeld bool
}

func newUnheld(isHeld bool) *unheld { return &unheld{timers.InEventTime("timer"), isHeld} }

func (f *unheld) ProcessElement(timestamp beam.EventTime, tp timers.Provider, _ string, n int, emit func(beam.EventTime, int)) {
	if f.IsHeld {
		f.Timer.Set(tp, at(20000), timers.WithOutputTimestamp(timestamp.ToTime()))
	} else {
		f.Timer.Set(tp, at(20000), timers.WithNoOutputTimestamp())
	}
	emit(timestamp, n)
}

func (f *unheld) OnTimer(timestamp beam.EventTime, _ timers.Provider, _ string, _ timers.Context, emit func(beam.EventTime, int)) {
	note("debug", fmt.Sprint(timestamp))
	emit(mtime.FromMilliseconds(1000), 2)
}
