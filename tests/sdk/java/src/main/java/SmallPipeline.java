import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.apache.beam.sdk.Pipeline;
import org.apache.beam.sdk.PipelineResult;
import org.apache.beam.sdk.options.PipelineOptions;
import org.apache.beam.sdk.options.PipelineOptionsFactory;
import org.apache.beam.sdk.options.Validation;
import org.apache.beam.sdk.transforms.Count;
import org.apache.beam.sdk.transforms.Create;
import org.apache.beam.sdk.transforms.DoFn;
import org.apache.beam.sdk.transforms.GroupByKey;
import org.apache.beam.sdk.transforms.MapElements;
import org.apache.beam.sdk.transforms.ParDo;
import org.apache.beam.sdk.transforms.WithKeys;
import org.apache.beam.sdk.values.KV;
import org.apache.beam.sdk.values.PCollection;
import org.apache.beam.sdk.values.TypeDescriptors;

/**
 * Create, map, group by key and count, on a job endpoint.
 *
 * <p>Each result is gathered under one key, sorted and written to a new file by a DoFn, in one go (LOOPBACK: the DoFn runs in this
 * process). A run that loses, doubles or never delivers an element leaves a file that differs, none, or several. A line for each
 * check and the totals go to standard output.
 */
public class SmallPipeline {
  private static final List<String> WORDS =
      Arrays.asList("beam", "post", "beam", "trestle", "deck", "beam", "post", "żółw", "");

  private static final List<String> GROUPS = Arrays.asList("0:", "4:beam beam beam deck post post żółw", "7:trestle");

  private static final List<String> COUNTS = Arrays.asList("=1", "beam=3", "deck=1", "post=2", "trestle=1", "żółw=1");

  /** What the command line adds to Beam's own options. */
  public interface Options extends PipelineOptions {
    @Validation.Required
    String getOutputFolder();

    void setOutputFolder(String value);
  }

  static class JoinSorted extends DoFn<KV<Integer, Iterable<String>>, String> {
    @ProcessElement
    public void process(@Element KV<Integer, Iterable<String>> group, OutputReceiver<String> out) {
      out.output(group.getKey() + ":" + String.join(" ", sorted(group.getValue())));
    }
  }

  static class WriteSorted extends DoFn<KV<Integer, Iterable<String>>, Void> {
    private final String folder;
    private final String name;

    WriteSorted(String folder, String name) {
      this.folder = folder;
      this.name = name;
    }

    @ProcessElement
    public void process(@Element KV<Integer, Iterable<String>> all) throws IOException {
      Path file = Files.createTempFile(Paths.get(folder), name + "-", "");
      Files.write(file, sorted(all.getValue()), StandardCharsets.UTF_8);
    }
  }

  private static List<String> sorted(Iterable<String> values) {
    List<String> list = new ArrayList<>();
    values.forEach(list::add);
    Collections.sort(list);
    return list;
  }

  private static void write(String folder, String name, PCollection<String> lines) {
    lines
        .apply(name + " under one key", WithKeys.<Integer, String>of(0).withKeyType(TypeDescriptors.integers()))
        .apply(name + " together", GroupByKey.create())
        .apply(name + " to a file", ParDo.of(new WriteSorted(folder, name)));
  }

  private static boolean check(String folder, String name, List<String> want) throws IOException {
    List<List<String>> got = new ArrayList<>();
    try (DirectoryStream<Path> files = Files.newDirectoryStream(Paths.get(folder), name + "-*")) {
      for (Path file : files) got.add(Files.readAllLines(file, StandardCharsets.UTF_8));
    }
    boolean same = got.equals(Collections.singletonList(want));
    System.out.println((same ? "passed  " : "FAILED  ") + name + (same ? "" : ": " + got + " is not one file of " + want));
    return same;
  }

  public static void main(String[] args) throws IOException {
    Options options = PipelineOptionsFactory.fromArgs(args).withValidation().as(Options.class);
    String folder = options.getOutputFolder();

    Pipeline pipeline = Pipeline.create(options);
    PCollection<String> words = pipeline.apply("words", Create.of(WORDS));
    write(
        folder,
        "groups",
        words
            .apply(
                "by length",
                MapElements.into(TypeDescriptors.kvs(TypeDescriptors.integers(), TypeDescriptors.strings()))
                    .via((String word) -> KV.of(word.length(), word)))
            .apply("group", GroupByKey.create())
            .apply("join", ParDo.of(new JoinSorted())));
    write(
        folder,
        "counts",
        words
            .apply("count", Count.perElement())
            .apply("format", MapElements.into(TypeDescriptors.strings()).via(kv -> kv.getKey() + "=" + kv.getValue())));

    PipelineResult.State state = pipeline.run().waitUntilFinish();
    boolean[] results = {
      state == PipelineResult.State.DONE, check(folder, "groups", GROUPS), check(folder, "counts", COUNTS),
    };
    System.out.println((results[0] ? "passed  " : "FAILED  ") + "the job ends as " + state);
    int passed = 0;
    for (boolean result : results) passed += result ? 1 : 0;
    System.out.printf("%d passed, %d failed, 0 skipped%n", passed, results.length - passed);
    // not by returning: threads of the SDK's worker outlive the job
    System.exit(passed == results.length ? 0 : 1);
  }
}
