import java.util.Iterator;
import java.util.Map;
import org.apache.beam.sdk.coders.StringUtf8Coder;
import org.apache.beam.sdk.coders.VarLongCoder;
import org.apache.beam.sdk.schemas.Schema;
import org.apache.beam.sdk.state.StateSpec;
import org.apache.beam.sdk.state.StateSpecs;
import org.apache.beam.sdk.state.TimeDomain;
import org.apache.beam.sdk.state.Timer;
import org.apache.beam.sdk.state.TimerSpec;
import org.apache.beam.sdk.state.TimerSpecs;
import org.apache.beam.sdk.state.ValueState;
import org.apache.beam.sdk.transforms.DoFn;
import org.apache.beam.sdk.transforms.GroupByKey;
import org.apache.beam.sdk.transforms.PTransform;
import org.apache.beam.sdk.transforms.ParDo;
import org.apache.beam.sdk.transforms.View;
import org.apache.beam.sdk.transforms.windowing.BoundedWindow;
import org.apache.beam.sdk.transforms.windowing.Sessions;
import org.apache.beam.sdk.transforms.windowing.Window;
import org.apache.beam.sdk.values.KV;
import org.apache.beam.sdk.values.PCollection;
import org.apache.beam.sdk.values.PCollectionTuple;
import org.apache.beam.sdk.values.PCollectionView;
import org.apache.beam.sdk.values.Row;
import org.joda.time.Duration;

/** What the pipelines of xlang.py have Java do; the expansion service finds each transform by its class. */
public class Transforms {
  /** Each element, and the last millisecond of its window. */
  public static class WithWindow extends PTransform<PCollection<String>, PCollection<KV<String, Long>>> {
    @Override
    public PCollection<KV<String, Long>> expand(PCollection<String> input) {
      return input.apply(ParDo.of(new NameWindow()));
    }
  }

  static class NameWindow extends DoFn<String, KV<String, Long>> {
    @ProcessElement
    public void process(@Element String element, BoundedWindow window, OutputReceiver<KV<String, Long>> out) {
      out.output(KV.of(element, window.maxTimestamp().getMillis()));
    }
  }

  /** The elements of "words" that "prices" knows, with what the map says of them. */
  public static class LookUp extends PTransform<PCollectionTuple, PCollection<KV<String, Long>>> {
    @Override
    public PCollection<KV<String, Long>> expand(PCollectionTuple input) {
      PCollection<KV<String, Long>> prices = tagged(input, "prices");
      PCollection<String> words = tagged(input, "words");
      PCollectionView<Map<String, Long>> view = prices.apply(View.asMap());
      return words.apply(ParDo.of(new LookUpWord(view)).withSideInputs(view));
    }
  }

  static class LookUpWord extends DoFn<String, KV<String, Long>> {
    private final PCollectionView<Map<String, Long>> view;

    LookUpWord(PCollectionView<Map<String, Long>> view) {
      this.view = view;
    }

    @ProcessElement
    public void process(ProcessContext context) {
      Long price = context.sideInput(view).get(context.element());
      if (price != null) {
        context.output(KV.of(context.element(), price));
      }
    }
  }

  /** The sum of each key's values, given out by a timer at the end of the window. */
  public static class SumByTimer
      extends PTransform<PCollection<KV<String, Long>>, PCollection<KV<String, Long>>> {
    @Override
    public PCollection<KV<String, Long>> expand(PCollection<KV<String, Long>> input) {
      return input.apply(ParDo.of(new Summing()));
    }
  }

  static class Summing extends DoFn<KV<String, Long>, KV<String, Long>> {
    @StateId("sum")
    private final StateSpec<ValueState<Long>> sumSpec = StateSpecs.value(VarLongCoder.of());

    @StateId("key")
    private final StateSpec<ValueState<String>> keySpec = StateSpecs.value(StringUtf8Coder.of());

    @TimerId("end")
    private final TimerSpec endSpec = TimerSpecs.timer(TimeDomain.EVENT_TIME);

    @ProcessElement
    public void process(
        @Element KV<String, Long> element,
        BoundedWindow window,
        @StateId("sum") ValueState<Long> sum,
        @StateId("key") ValueState<String> key,
        @TimerId("end") Timer end) {
      Long before = sum.read();
      sum.write((before == null ? 0 : before) + element.getValue());
      key.write(element.getKey());
      end.set(window.maxTimestamp());
    }

    @OnTimer("end")
    public void onEnd(
        @StateId("sum") ValueState<Long> sum,
        @StateId("key") ValueState<String> key,
        OutputReceiver<KV<String, Long>> out) {
      out.output(KV.of(key.read(), sum.read()));
    }
  }

  /** Sessions of a gap of ten seconds, for the other language to group by. */
  public static class IntoSessions
      extends PTransform<PCollection<KV<String, Long>>, PCollection<KV<String, Long>>> {
    @Override
    public PCollection<KV<String, Long>> expand(PCollection<KV<String, Long>> input) {
      return input.apply(Window.into(Sessions.withGapDuration(Duration.standardSeconds(10))));
    }
  }

  /** How many values were grouped under each key. */
  public static class GroupSizes
      extends PTransform<PCollection<KV<String, Long>>, PCollection<KV<String, Long>>> {
    @Override
    public PCollection<KV<String, Long>> expand(PCollection<KV<String, Long>> input) {
      return input.apply(GroupByKey.create()).apply(ParDo.of(new CountGroup()));
    }
  }

  static class CountGroup extends DoFn<KV<String, Iterable<Long>>, KV<String, Long>> {
    @ProcessElement
    public void process(@Element KV<String, Iterable<Long>> group, OutputReceiver<KV<String, Long>> out) {
      long size = 0;
      for (Iterator<Long> i = group.getValue().iterator(); i.hasNext(); i.next()) {
        size++;
      }
      out.output(KV.of(group.getKey(), size));
    }
  }

  /** Rows of a schema with a field that may be null. */
  public static class ToRows extends PTransform<PCollection<String>, PCollection<Row>> {
    static final Schema SCHEMA =
        Schema.builder().addStringField("word").addInt32Field("length").addNullableStringField("rest").build();

    @Override
    public PCollection<Row> expand(PCollection<String> input) {
      return input.apply(ParDo.of(new ToRow())).setRowSchema(SCHEMA);
    }
  }

  static class ToRow extends DoFn<String, Row> {
    @ProcessElement
    public void process(@Element String word, OutputReceiver<Row> out) {
      String rest = word.isEmpty() ? null : word.substring(1);
      out.output(Row.withSchema(ToRows.SCHEMA).addValues(word, word.length(), rest).build());
    }
  }

  @SuppressWarnings("unchecked")
  private static <T> PCollection<T> tagged(PCollectionTuple input, String tag) {
    return (PCollection<T>)
        input.getAll().entrySet().stream()
            .filter(entry -> entry.getKey().getId().equals(tag))
            .findFirst()
            .orElseThrow(() -> new IllegalArgumentException("no input " + tag))
            .getValue();
  }
}
