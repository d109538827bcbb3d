import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.lang.reflect.Field;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import tiny_words.Answer;
import tiny_words.Bundle;
import tiny_words.EdgexlException;
import tiny_words.Explanation;
import tiny_words.Label;
import tiny_words.ListedLabel;
import tiny_words.OpenOptions;
import tiny_words.PredictOptions;
import tiny_words.TinyWords;

/** What the Java binding does, by a program that uses it: FOLDER has vectors.tsv and the bundle. Prints what passed. */
public class Binding {
    public static void main(String[] arguments) throws Exception {
        Path folder = Paths.get(arguments[0]);
        byte[] content = Files.readAllBytes(folder.resolve("tiny-words.exl"));
        try (Bundle bundle = TinyWords.open()) {
            System.out.println(vectors(bundle, folder) + " vectors, " + bundle.selfTest() + " goldens");
            openings(bundle, folder, content);
            refusals(bundle);
            threads(bundle);
        }
        labels(folder, content);
        closing();
        System.out.println("version " + Bundle.version());
    }

    static int vectors(Bundle bundle, Path folder) throws Exception {
        int passed = 0;
        for (String line : Files.readAllLines(folder.resolve("vectors.tsv"), StandardCharsets.UTF_8)) {
            String[] cells = line.split("\t");
            Answer answer = bundle.predict(cells[0], (cells.length - 2) / 2);
            List<String> said = new ArrayList<>(Arrays.asList(cells[0], answer.isNoneFits() ? "1" : "0"));
            for (Label label : answer.getLabels()) {
                said.add(label.getId());
                said.add(String.format("%08x", Float.floatToRawIntBits(label.getProbability())));
            }
            check(said.equals(Arrays.asList(cells)), line);
            passed++;
        }
        return passed;
    }

    static void openings(Bundle bundle, Path folder, byte[] content) throws Exception {
        String text = bundle.goldenTexts().get(0);
        float logit = bundle.predict(text).getLabels().get(0).getLogit();
        Path part = folder.resolve("part");
        try (FileOutputStream out = new FileOutputStream(part.toFile())) {
            out.write(new byte[5]);
            out.write(content);
        }
        String path = folder.resolve("tiny-words.exl").toString();
        List<Bundle> opened = new ArrayList<>(Arrays.asList(
                Bundle.open(path), Bundle.open(path, OpenOptions.DEFAULT.withVerify().withCopy()),
                Bundle.open(content, OpenOptions.DEFAULT)));
        Field number = FileDescriptor.class.getDeclaredField("fd");
        number.setAccessible(true);
        try (FileInputStream in = new FileInputStream(part.toFile())) {
            opened.add(Bundle.open(number.getInt(in.getFD()), 5, content.length, OpenOptions.DEFAULT));
        }
        try (FileInputStream in = new FileInputStream(path)) {
            opened.add(Bundle.open(number.getInt(in.getFD()), 0, 0, OpenOptions.DEFAULT));
        }
        StringBuilder copied = new StringBuilder();
        for (Bundle each : opened) {
            check(each.predict(text).getLabels().get(0).getLogit() == logit, "another way of opening");
            copied.append(each.getInfo().isCopied() ? "c" : "m");
            each.close();
        }
        check(copied.toString().equals("mcccm"), copied.toString());
    }

    static void refusals(Bundle bundle) {
        check(status(() -> bundle.predict("")) == 101, "an empty text");
        check(status(() -> bundle.predict("a", bundle.getInfo().getShortlist() + 1)) == 103, "a large k");
        check(status(() -> bundle.find("no such id")) == 104, "no such label");
        check(status(() -> Bundle.open("/no/such/file")) == 201, "no such file");
        check(status(() -> Bundle.open("a\0b")) == 100, "a NUL in a path");
        check(status(() -> Bundle.open("no bundle".getBytes(StandardCharsets.UTF_8), OpenOptions.DEFAULT)) == 300, "none");
        check(status(() -> Bundle.open(-1, 0, 0, OpenOptions.DEFAULT)) != 0, "no descriptor");
        check(status(() -> bundle.label(Integer.MAX_VALUE)) == 104, "no such number");
        // a text with a NUL, characters beyond 16 bits, and half of one, which is none: it becomes a question mark
        check(bundle.predict("old king\0").getLabels().size() == 5, "a NUL in a text");
        check(bundle.predict("king \ud83d\ude00").getLabels().size() == 5, "an emoji");
        check(bundle.predict("king \ud83d").getLabels().size() == 5, "half of one");
        boolean refused = false;
        try {
            bundle.predict(null);
        } catch (NullPointerException expected) {
            refused = true;
        }
        check(refused, "null");
    }

    static void threads(Bundle bundle) throws Exception {
        List<String> texts = bundle.goldenTexts();
        List<Answer> expected = bundle.predictBatch(texts, PredictOptions.DEFAULT);
        ExecutorService workers = Executors.newFixedThreadPool(8);
        List<Future<List<Answer>>> answers = new ArrayList<>();
        for (int worker = 0; worker < 8; worker++) {
            answers.add(workers.submit(() -> bundle.predictBatch(texts, PredictOptions.DEFAULT)));
        }
        for (Future<List<Answer>> each : answers) {
            for (int place = 0; place < texts.size(); place++) {
                check(each.get().get(place).getLabels().get(0).getLogit()
                        == expected.get(place).getLabels().get(0).getLogit(), "a thread");
            }
        }
        workers.shutdown();
    }

    static void labels(Path folder, byte[] content) {
        String changes = folder.resolve("changes").toString();
        try (Bundle bundle = TinyWords.open(OpenOptions.DEFAULT.withLabels(changes))) {
            String text = bundle.goldenTexts().get(0);
            Label first = bundle.predict(text).getLabels().get(0);
            Explanation way = bundle.explain(text, first.getId());
            check(way.getReasonerRank() == 1 && way.isShortlisted() && way.getLogit() == first.getLogit(), "explain");
            check(way.getFoundBy() != null && way.getScreeningRank() > 0, "found by");
            check(bundle.label(bundle.find(first.getId())).getText().equals(first.getText()), "find");
            String start = first.getText().substring(0, 3);
            check(bundle.complete(start, Integer.MAX_VALUE).stream().anyMatch(one -> one.getId().equals(first.getId())),
                    "complete");
            check(bundle.complete(start, 1).size() == 1 && bundle.complete(start, 0).isEmpty(), "a limit");
            check(bundle.complete(start, -1).isEmpty(), "a negative limit");
            check(bundle.predict(text, PredictOptions.DEFAULT.withThreshold(0.999999f)).getLabels().size()
                    < bundle.getInfo().getShortlist(), "a threshold");
            bundle.addLabel("n\u00e9w-\ud83d\ude00", "zebra lantern", "striped lamp");
            check(status(() -> bundle.addLabel("n\u00e9w-\ud83d\ude00", "again")) == 107, "twice");
            bundle.replaceLabel("n\u00e9w-\ud83d\ude00", "zebra lantern");
            check(bundle.predict("zebra lantern", 1).getLabels().get(0).getId().equals("n\u00e9w-\ud83d\ude00"), "added");
            bundle.retireLabel("n\u00e9w-\ud83d\ude00");
            ListedLabel last = bundle.label(bundle.labelsEnd() - 1);
            check(last.getState() == ListedLabel.State.RETIRED && last.getId().equals("n\u00e9w-\ud83d\ude00"), "retired");
        }
        try (Bundle bundle = TinyWords.open()) {
            check(status(() -> bundle.addLabel("a", "b")) != 0, "labels that cannot be changed");
        }
    }

    /** Bundles are closed while others use them: each call answers, or is refused. */
    static void closing() throws Exception {
        for (int round = 0; round < 20; round++) {
            Bundle bundle = TinyWords.open();
            ExecutorService workers = Executors.newFixedThreadPool(4);
            List<Future<Integer>> done = new ArrayList<>();
            for (int worker = 0; worker < 4; worker++) {
                done.add(workers.submit(() -> {
                    int answered = 0;
                    try {
                        while (true) {
                            bundle.predict("old king");
                            answered++;
                        }
                    } catch (EdgexlException error) {
                        check(error.getMessage().equals("the bundle is closed"), error.getMessage());
                    }
                    return answered;
                }));
            }
            Thread.sleep(5);
            bundle.close();
            bundle.close();
            for (Future<Integer> each : done) {
                each.get();
            }
            workers.shutdown();
        }
    }

    static int status(Runnable call) {
        try {
            call.run();
            return 0;
        } catch (EdgexlException error) {
            check(!error.getMessage().isEmpty(), "a sentence");
            return error.getStatus();
        }
    }

    static void check(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }
}
