import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.io.IOException;
import java.io.PrintStream;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.atomic.AtomicReference;
import java.util.jar.JarFile;
import java.util.regex.Pattern;
import org.junit.Test;
import org.junit.experimental.categories.Category;
import org.junit.runner.Description;
import org.junit.runner.JUnitCore;
import org.junit.runner.Request;
import org.junit.runner.Result;
import org.junit.runner.RunWith;
import org.junit.runner.notification.Failure;
import org.junit.runner.notification.RunListener;

/**
 * Runs the tests of a jar that carry a JUnit category, one after the other, each under a time limit, and writes a line of JSON for
 * each (see ../python/results.py).
 *
 * <p>Settings are system properties: {@code tests} (the jar), {@code category} (its simple name), {@code results} (the file to append
 * to), {@code seconds} for a test, {@code expected} (the list of those that are expected to fail) with {@code expectedSeconds} for each
 * on it, {@code shard} of {@code shards}, {@code only} (a regular expression that a test's name must contain), {@code without} (one
 * that no category of a test may contain). JUnit's own runners are used, so that rules, parameters and {@code @Ignore} count.
 */
public class ValidatesRunner {
  private static final ObjectMapper JSON = new ObjectMapper();

  private enum Outcome {
    passed,
    failed,
    skipped
  }

  /** What a test came to; {@code text} says why it was not passed. */
  private static class Verdict {
    final Outcome outcome;
    final String text;

    Verdict(Outcome outcome, String text) {
      this.outcome = outcome;
      this.text = text;
    }
  }

  private static class SkipListener extends RunListener {
    private final AtomicReference<String> why = new AtomicReference<>();

    @Override
    public void testIgnored(Description test) {
      why.set("ignored");
    }

    @Override
    public void testAssumptionFailure(Failure failure) {
      why.set(String.valueOf(failure.getMessage()));
    }
  }

  private static String name(Description test) {
    return test.getClassName() + "." + test.getMethodName();
  }

  /** Of the method, its class and the classes around that. */
  private static Set<String> categories(Description test) {
    Set<String> names = new TreeSet<>();
    addCategories(test.getAnnotation(Category.class), names);
    for (Class<?> type = test.getTestClass(); type != null; type = type.getEnclosingClass()) {
      addCategories(type.getAnnotation(Category.class), names);
    }
    return names;
  }

  private static void addCategories(Category category, Set<String> names) {
    if (category == null) return;
    for (Class<?> type : category.value()) names.add(type.getSimpleName());
  }

  private static void addTests(Description description, List<Description> tests) {
    if (description.isTest()) tests.add(description);
    description.getChildren().forEach(child -> addTests(child, tests));
  }

  private static List<String> classNames(String jar) throws IOException {
    List<String> names = new ArrayList<>();
    try (JarFile file = new JarFile(jar)) {
      file.stream()
          .map(entry -> entry.getName())
          .filter(entry -> entry.endsWith(".class") && !entry.startsWith("META-INF") && !entry.contains("/repackaged/"))
          .forEach(entry -> names.add(entry.substring(0, entry.length() - ".class".length()).replace('/', '.')));
    }
    Collections.sort(names);
    return names;
  }

  private static boolean hasTests(Class<?> type) {
    if (Modifier.isAbstract(type.getModifiers()) || !Modifier.isPublic(type.getModifiers())) return false;
    RunWith runner = type.getAnnotation(RunWith.class);
    if (runner != null) return !runner.value().getSimpleName().matches("Enclosed|Suite");
    for (Method method : type.getMethods()) if (method.isAnnotationPresent(Test.class)) return true;
    return false;
  }

  /** By name, with the class that JUnit is to be asked for. Classes that cannot be loaded are named on standard error. */
  private static Map<Description, Class<?>> find(String jar, String category) throws IOException {
    Map<Description, Class<?>> found = new LinkedHashMap<>();
    for (String name : classNames(jar)) {
      try {
        Class<?> type = Class.forName(name, false, ValidatesRunner.class.getClassLoader());
        if (!hasTests(type)) continue;
        List<Description> tests = new ArrayList<>();
        addTests(Request.aClass(type).getRunner().getDescription(), tests);
        for (Description test : tests) if (categories(test).contains(category)) found.putIfAbsent(test, type);
      } catch (Exception | LinkageError e) {
        System.err.println("cannot load " + name + ": " + e);
      }
    }
    return found;
  }

  private static String causes(Throwable error) {
    StringBuilder text = new StringBuilder();
    for (int depth = 0; error != null && depth < 5; depth++, error = error.getCause()) {
      text.append(depth == 0 ? "" : " | ").append(error);
    }
    return text.toString();
  }

  /** The test goes on in its thread, which nothing waits for, when its time is up. */
  private static Verdict run(Description test, Class<?> type, long seconds) throws InterruptedException {
    SkipListener skipped = new SkipListener();
    AtomicReference<Result> result = new AtomicReference<>();
    Thread thread =
        new Thread(
            () -> {
              JUnitCore junit = new JUnitCore();
              junit.addListener(skipped);
              result.set(junit.run(Request.aClass(type).filterWith(test)));
            },
            name(test));
    thread.setDaemon(true);
    thread.start();
    thread.join(seconds * 1000);
    if (result.get() == null) {
      thread.interrupt();
      return new Verdict(Outcome.failed, "not at its end after " + seconds + " s");
    }
    if (!result.get().wasSuccessful()) return new Verdict(Outcome.failed, causes(result.get().getFailures().get(0).getException()));
    return skipped.why.get() == null ? new Verdict(Outcome.passed, "") : new Verdict(Outcome.skipped, skipped.why.get());
  }

  private static Set<String> expectedFailures(String path) throws IOException {
    Set<String> names = new HashSet<>();
    if (!new File(path).exists()) return names;
    for (String line : Files.readAllLines(Paths.get(path), StandardCharsets.UTF_8)) {
      if (!line.startsWith("#")) names.add(line.split(" # ", 2)[0].trim());
    }
    return names;
  }

  private static void write(PrintStream out, Description test, double seconds, Verdict verdict) throws IOException {
    Map<String, Object> row = new TreeMap<>();
    row.put("test", name(test));
    row.put("outcome", verdict.outcome.name());
    row.put("seconds", seconds);
    row.put("jobless", false);
    row.put("needs", categories(test));
    row.put("text", verdict.text);
    out.println(JSON.writeValueAsString(row));
  }

  public static void main(String[] args) throws Exception {
    long seconds = Long.getLong("seconds"), expectedSeconds = Long.getLong("expectedSeconds");
    int shard = Integer.getInteger("shard"), shards = Integer.getInteger("shards"), index = 0;
    Pattern only = Pattern.compile(System.getProperty("only"));
    Pattern without = Pattern.compile(System.getProperty("without"));
    Set<String> expected = expectedFailures(System.getProperty("expected"));
    PrintStream out =
        new PrintStream(
            Files.newOutputStream(
                Paths.get(System.getProperty("results")), StandardOpenOption.CREATE, StandardOpenOption.APPEND),
            true,
            "UTF-8");

    for (Map.Entry<Description, Class<?>> entry :
        find(System.getProperty("tests"), System.getProperty("category")).entrySet()) {
      Description test = entry.getKey();
      if (!only.matcher(name(test)).find() || index++ % shards != shard) continue;
      if (without.matcher(String.join(" ", categories(test))).find()) {
        write(out, test, 0, new Verdict(Outcome.skipped, "left out: needs what is not there"));
        continue;
      }
      long started = System.nanoTime();
      Verdict verdict = run(test, entry.getValue(), expected.contains(name(test)) ? expectedSeconds : seconds);
      write(out, test, (System.nanoTime() - started) / 1e9, verdict);
    }
    // not by returning: threads of the SDK's worker, and of tests whose time was up, are still there
    System.exit(0);
  }
}
