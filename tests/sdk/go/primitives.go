package main

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/metrics"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/transforms/filter"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/transforms/stats"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/transforms/top"
)

func init() {
	for _, fn := range []any{byLength, joined, counted, splitBySign, joinThree, keyed, unkeyed, text, refuse, isShort, withSides,
		withMaps, lengths, sumOfSizes, moment, less, pairText, stamped, describeRegistered, number, byParity} {
		beam.RegisterFunction(fn)
	}
	for _, fn := range []any{&counting{}, &finalizing{}, &bundles{}, &many{}} {
		beam.RegisterDoFn(fn)
	}
	register.Combiner3[meanAccumulator, float64, float64](&meanFn{})
	beam.RegisterType(reflect.TypeOf((*point)(nil)).Elem())
	beam.RegisterType(reflect.TypeOf((*opaque)(nil)).Elem())
	beam.RegisterCoder(reflect.TypeOf((*opaque)(nil)).Elem(), encodeOpaque, decodeOpaque)

	jobs = append(jobs,
		job{name: "group by key", build: func(s beam.Scope) beam.PCollection {
			return beam.ParDo(s, joined, beam.GroupByKey(s, beam.ParDo(s, byLength, beam.CreateList(s, words))))
		}, want: []string{"0:", "4:beam beam beam deck post post", "7:trestle żółw"}},

		job{name: "count", build: func(s beam.Scope) beam.PCollection {
			return beam.ParDo(s, counted, stats.Count(s, beam.CreateList(s, words)))
		}, want: []string{"=1", "beam=3", "deck=1", "post=2", "trestle=1", "żółw=1"}},

		job{name: "outputs", build: func(s beam.Scope) beam.PCollection {
			negative, zero, positive := beam.ParDo3(s, splitBySign, beam.Create(s, -2, -1, 0, 1, 2, 3))
			passert.Equals(s, negative, -2, -1)
			passert.Equals(s, zero, 0)
			return beam.ParDo(s, text, positive)
		}, want: []string{"1", "2", "3"}},

		job{name: "an assertion that does not hold", build: func(s beam.Scope) beam.PCollection {
			passert.Equals(s, beam.Create(s, 1, 2), 1, 3)
			return beam.PCollection{}
		}, fails: "3"},

		job{name: "a DoFn that fails", build: func(s beam.Scope) beam.PCollection {
			return beam.ParDo(s, refuse, beam.Create(s, "x"))
		}, fails: "x is refused"},

		job{name: "join of three", build: func(s beam.Scope) beam.PCollection {
			a := beam.ParDo(s, keyed, beam.Create(s, "a=1", "a=2", "b=3"))
			b := beam.ParDo(s, keyed, beam.Create(s, "b=4", "c=5"))
			c := beam.ParDo(s, keyed, beam.Create(s, "a=6", "c=7", "c=7"))
			return beam.ParDo(s, joinThree, beam.CoGroupByKey(s, a, b, c))
		}, want: []string{"a 1,2||6", "b 3|4|", "c |5|7,7"}},

		job{name: "flatten", build: func(s beam.Scope) beam.PCollection {
			a, b := beam.Create(s, "a", "b"), beam.Create(s, "c")
			return beam.Flatten(s, a, b, a)
		}, want: []string{"a", "a", "b", "b", "c"}},

		job{name: "flatten of one", build: func(s beam.Scope) beam.PCollection {
			return beam.Flatten(s, beam.Create(s, "a", "b"))
		}, want: []string{"a", "b"}},

		job{name: "partition", build: func(s beam.Scope) beam.PCollection {
			parts := beam.Partition(s, 2, byParity, beam.Create(s, 1, 2, 3, 4))
			passert.Equals(s, parts[0], 2, 4)
			return beam.ParDo(s, text, parts[1])
		}, want: []string{"1", "3"}},

		job{name: "filter, distinct and top", build: func(s beam.Scope) beam.PCollection {
			short := filter.Distinct(s, filter.Include(s, beam.CreateList(s, words), isShort))
			return beam.ParDo(s, lengths, top.Largest(s, short, 2, less))
		}, want: []string{"post deck"}},

		job{name: "combine", build: func(s beam.Scope) beam.PCollection {
			numbers := beam.Create(s, 1, 2, 3, 4)
			passert.Equals(s, stats.Sum(s, numbers), 10)
			passert.Equals(s, stats.Max(s, numbers), 4)
			return beam.ParDo(s, number, beam.Combine(s, &meanFn{}, beam.Create(s, 1.0, 2.0, 3.0, 4.0)))
		}, want: []string{"2.5"}},

		job{name: "combine per key", build: func(s beam.Scope) beam.PCollection {
			means := beam.CombinePerKey(s, &meanFn{}, beam.ParDo(s, moment, beam.Create(s, "a=1", "a=2", "b=7")))
			return beam.ParDo(s, pairText, means)
		}, want: []string{"a=1.5", "b=7"}},

		job{name: "reshuffle", build: func(s beam.Scope) beam.PCollection {
			stamps := beam.ParDo(s, stamped, beam.Create(s, 1000, 11000, 12000))
			windows := beam.WindowInto(s, window.NewFixedWindows(10*time.Second), stamps)
			keys := beam.Reshuffle(s, beam.AddFixedKey(s, windows))
			return inFull(s, "reshuffle", beam.ParDo(s, text, beam.DropKey(s, keys)))
		}, want: []string{"1000 @1000 [0:10000)", "11000 @11000 [10000:20000)", "12000 @12000 [10000:20000)"}},

		job{name: "side inputs", build: func(s beam.Scope) beam.PCollection {
			one, more := beam.Create(s, 5), beam.Create(s, 1, 2, 3)
			return beam.ParDo(s, withSides, beam.Create(s, "x", "y"), beam.SideInput{Input: one}, beam.SideInput{Input: more},
				beam.SideInput{Input: more}, beam.SideInput{Input: more})
		}, want: []string{"x 5 6 12 [1 2 3]", "y 5 6 12 [1 2 3]"}},

		job{name: "side inputs by key", build: func(s beam.Scope) beam.PCollection {
			pairs := beam.ParDo(s, keyed, beam.Create(s, "a=1", "a=2", "b=3"))
			return beam.ParDo(s, withMaps, beam.Create(s, "a", "b", "c"), beam.SideInput{Input: pairs},
				beam.SideInput{Input: pairs})
		}, want: []string{"a 1,2 1,2", "b 3 3", "c  "}},

		job{name: "large iterable", build: func(s beam.Scope) beam.PCollection {
			values := beam.ParDo(s, &many{Count: 300, Bytes: 100_000}, beam.Impulse(s))
			return beam.ParDo(s, sumOfSizes, beam.GroupByKey(s, beam.AddFixedKey(s, values)))
		}, want: []string{"300 of 30000000 bytes"}},

		job{name: "registered types", build: func(s beam.Scope) beam.PCollection {
			points := beam.Create(s, point{X: 1, Name: "a", More: []string{"x"}}, point{X: 2}, point{X: 1, Name: "a", More: []string{"x"}})
			opaques := beam.Create(s, opaque{1}, opaque{2}, opaque{1})
			return beam.Flatten(s, beam.ParDo(s, describeRegistered, stats.Count(s, points)),
				beam.ParDo(s, describeRegistered, stats.Count(s, opaques)))
		}, want: []string{"{1 a [x]} 2", "{2  []} 1", "{1} 2", "{2} 1"}},

		job{name: "metrics", build: func(s beam.Scope) beam.PCollection {
			return beam.ParDo(s, &counting{}, beam.Create(s, 1, 2, 3, 4))
		}, want: []string{"1", "2", "3", "4"}, metrics: checkMetrics},

		job{name: "life of a DoFn", build: func(s beam.Scope) beam.PCollection {
			return beam.ParDo(s, &bundles{}, beam.Create(s, 1, 2, 3))
		}, want: []string{"sum 6"}},

		job{name: "bundle finalization", build: func(s beam.Scope) beam.PCollection {
			return beam.ParDo(s, &finalizing{}, beam.Create(s, "a"))
		}, want: []string{"a", "finalized"}},
	)
}

var words = []string{"beam", "post", "beam", "trestle", "deck", "beam", "post", "żółw", ""}

func byLength(word string) (int, string) { return len(word), word }

func joined(length int, values func(*string) bool) string {
	return fmt.Sprintf("%d:%s", length, strings.Join(sorted(values), " "))
}

func sorted[T any](values func(*T) bool) []string {
	var list []string
	var value T
	for values(&value) {
		list = append(list, fmt.Sprint(value))
	}
	slices.Sort(list)
	return list
}

func counted(word string, count int) string { return fmt.Sprintf("%s=%d", word, count) }

func splitBySign(n int, negative, zero, positive func(int)) {
	switch {
	case n < 0:
		negative(n)
	case n == 0:
		zero(n)
	default:
		positive(n)
	}
}

func joinThree(key string, a, b, c func(*int) bool) string {
	return fmt.Sprintf("%s %s|%s|%s", key, strings.Join(sorted(a), ","), strings.Join(sorted(b), ","), strings.Join(sorted(c), ","))
}

// keyed makes "key=number" a pair.
func keyed(pair string) (string, int) {
	key, value, _ := strings.Cut(pair, "=")
	n, _ := strconv.Atoi(value)
	return key, n
}

func unkeyed(key string, n int) string { return fmt.Sprintf("%s=%d", key, n) }

func moment(pair string) (string, float64) {
	key, n := keyed(pair)
	return key, float64(n)
}

func text(n int) string { return strconv.Itoa(n) }

func number(f float64) string { return fmt.Sprint(f) }

func pairText(key string, f float64) string { return fmt.Sprintf("%s=%v", key, f) }

func refuse(x string) (string, error) { return "", errors.New(x + " is refused") }

func isShort(word string) bool { return len(word) == 4 }

func less(a, b string) bool { return a < b }

func lengths(list []string) string { return strings.Join(list, " ") }

func byParity(n int) int { return n % 2 }

// stamped gives a number of milliseconds that timestamp.
func stamped(ms int) (beam.EventTime, int) { return mtime.FromMilliseconds(int64(ms)), ms }

func withSides(x string, one int, iter func(*int) bool, again func() func(*int) bool, list []int) string {
	sum, twice, n := 0, 0, 0
	for iter(&n) {
		sum += n
	}
	for range 2 {
		for next := again(); next(&n); {
			twice += n
		}
	}
	slices.Sort(list)
	return fmt.Sprint(x, " ", one, " ", sum, " ", twice, " ", list)
}

func withMaps(key string, lookup func(string) func(*int) bool, pairs func(*string, *int) bool) string {
	var found []string
	var k string
	var n int
	for pairs(&k, &n) {
		if k == key {
			found = append(found, strconv.Itoa(n))
		}
	}
	slices.Sort(found)
	return fmt.Sprintf("%s %s %s", key, strings.Join(sorted(lookup(key)), ","), strings.Join(found, ","))
}

// many makes Count values of Bytes bytes.
type many struct{ Count, Bytes int }

func (m *many) ProcessElement(_ []byte, emit func([]byte)) {
	for range m.Count {
		emit(make([]byte, m.Bytes))
	}
}

func sumOfSizes(_ int, values func(*[]byte) bool) string {
	var value []byte
	count, bytes := 0, 0
	for values(&value) {
		count++
		bytes += len(value)
	}
	return fmt.Sprintf("%d of %d bytes", count, bytes)
}

// A point's coder is the SDK's, by its schema.
type point struct {
	X    int
	Name string
	More []string
}

// An opaque's coder is ours.
type opaque struct{ N int }

func encodeOpaque(o opaque) []byte { return []byte(strconv.Itoa(o.N)) }

func decodeOpaque(data []byte) (opaque, error) {
	n, err := strconv.Atoi(string(data))
	return opaque{n}, err
}

func describeRegistered(value beam.X, count int) string { return fmt.Sprint(value, " ", count) }

type meanAccumulator struct {
	Sum   float64
	Count int
}

// meanFn's accumulator is of another type than its input.
type meanFn struct{}

func (*meanFn) CreateAccumulator() meanAccumulator { return meanAccumulator{} }

func (*meanFn) AddInput(a meanAccumulator, v float64) meanAccumulator {
	return meanAccumulator{a.Sum + v, a.Count + 1}
}

func (*meanFn) MergeAccumulators(a, b meanAccumulator) meanAccumulator {
	return meanAccumulator{a.Sum + b.Sum, a.Count + b.Count}
}

func (*meanFn) ExtractOutput(a meanAccumulator) float64 { return a.Sum / float64(a.Count) }

type counting struct{}

var (
	elements = beam.NewCounter("suite", "elements")
	values   = beam.NewDistribution("suite", "values")
	latest   = beam.NewGauge("suite", "latest")
)

func (*counting) ProcessElement(ctx context.Context, n int) string {
	elements.Inc(ctx, 1)
	values.Update(ctx, int64(n))
	latest.Set(ctx, 42)
	return strconv.Itoa(n)
}

func checkMetrics(results metrics.Results) error {
	got := results.Query(func(r metrics.SingleResult) bool { return r.Namespace() == "suite" })
	if n := len(got.Counters()); n != 1 || got.Counters()[0].Committed != 4 || got.Counters()[0].Attempted != 4 {
		return fmt.Errorf("the counters are %+v", got.Counters())
	}
	want := metrics.DistributionValue{Count: 4, Sum: 10, Min: 1, Max: 4}
	if n := len(got.Distributions()); n != 1 || got.Distributions()[0].Committed != want {
		return fmt.Errorf("the distributions are %+v", got.Distributions())
	}
	if n := len(got.Gauges()); n != 1 || got.Gauges()[0].Committed.Value != 42 {
		return fmt.Errorf("the gauges are %+v", got.Gauges())
	}
	if step := got.Counters()[0].Key.Step; !strings.Contains(step, "counting") {
		return fmt.Errorf("the step is called %q", step)
	}
	for _, elements := range results.AllMetrics().PCols() {
		if elements.Committed.ElementCount == 4 && strings.Contains(elements.Key.Step, "counting") {
			return nil
		}
	}
	return fmt.Errorf("no element count of 4: %+v", results.AllMetrics().PCols())
}

// bundles sums what its bundles get, however many they are, and checks the order of its calls.
type bundles struct {
	isSetUp, isStarted bool
	sum                int
}

func (b *bundles) Setup() { b.isSetUp = true }

func (b *bundles) StartBundle(_ func(string)) error {
	if !b.isSetUp || b.isStarted {
		return errors.New("StartBundle out of order")
	}
	b.isStarted, b.sum = true, 0
	return nil
}

func (b *bundles) ProcessElement(n int, _ func(string)) error {
	if !b.isStarted {
		return errors.New("ProcessElement out of order")
	}
	b.sum += n
	return nil
}

func (b *bundles) FinishBundle(emit func(string)) {
	b.isStarted = false
	emit(fmt.Sprintf("sum %d", b.sum))
}

type finalizing struct{}

func (*finalizing) ProcessElement(finalization beam.BundleFinalization, x string) string {
	finalization.RegisterCallback(time.Minute, func() error {
		note("bundle finalization", "finalized")
		return nil
	})
	return x
}
