package {module};

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import org.jetbrains.annotations.NotNull;

/**
 * An open bundle. All threads share it: each call borrows a session, and there are as many as there were calls at the
 * same time. Every method but {@link #close} throws {@link EdgexlException} for what the library refuses, and once the
 * bundle is closed. Calls take milliseconds: off the main thread they belong.
 */
public final class Bundle implements AutoCloseable {
    private static final int BAD_ARGUMENT = 100;
    /** Calls hold it to read, close to write: it waits for calls under way. */
    private final ReentrantReadWriteLock lock = new ReentrantReadWriteLock();
    private final Queue<Long> idle = new ConcurrentLinkedQueue<>();
    private long handle;

    private Bundle(long handle) {
        this.handle = handle;
    }

    /** Open a file. It is mapped and must not be written to while it is open; another may be renamed over it. */
    @NotNull
    public static Bundle open(@NotNull String path) {
        return open(path, OpenOptions.DEFAULT);
    }

    @NotNull
    public static Bundle open(@NotNull String path, @NotNull OpenOptions options) {
        return new Bundle(Native.open(
                path(path), options.labels(), options.flags, options.keys(), options.leastVersion, options.signature));
    }

    /** Open bytes, which are copied. */
    @NotNull
    public static Bundle open(byte @NotNull [] content, @NotNull OpenOptions options) {
        return new Bundle(Native.openMemory(
                content, options.labels(), options.flags, options.keys(), options.leastVersion, options.signature));
    }

    /** Open a part of an open file, such as an asset in an APK; length 0: all to its end. It is mapped where the offset
     * is a multiple of 64, and copied otherwise; the descriptor may be closed then. */
    @NotNull
    public static Bundle open(int descriptor, long offset, long length, @NotNull OpenOptions options) {
        if (offset < 0 || length < 0) {
            throw new IllegalArgumentException("offset and length are not negative");
        }
        return new Bundle(Native.openDescriptor(
                descriptor, offset, length, options.labels(), options.flags, options.keys(), options.leastVersion,
                options.signature));
    }

    /** Make the new bundle of a file and a patch, in its place: either all of it or nothing. It must be signed as for
     * {@link #open(String)} and reproduce its goldens; labels that were added and retired stay so. A bundle that is open
     * stays the old one. */
    @NotNull
    public static Update update(@NotNull String path, @NotNull String patch) {
        return update(path, patch, UpdateOptions.DEFAULT);
    }

    @NotNull
    public static Update update(@NotNull String path, @NotNull String patch, @NotNull UpdateOptions options) {
        OpenOptions open = options.open;
        return new Update(new Told(Native.update(
                path(path), path(patch), options.out(), open.labels(), open.flags, open.keys(), open.leastVersion,
                open.signature, options.patchSignature, options.signedPatch)));
    }

    /** The runtime's version. */
    @NotNull
    public static String version() {
        return Native.string(Native.version());
    }

    /** The first 5 labels for a text, best first. */
    @NotNull
    public Answer predict(@NotNull String text) {
        return predict(text, PredictOptions.DEFAULT);
    }

    /** The first k labels for a text, best first. */
    @NotNull
    public Answer predict(@NotNull String text, int k) {
        return predict(text, PredictOptions.DEFAULT.withK(k));
    }

    @NotNull
    public Answer predict(@NotNull String text, @NotNull PredictOptions options) {
        byte[] asked = Native.bytes(text);
        return withSession(session -> new Answer(new Told(Native.predict(
                session, asked, options.k, options.useThreshold, options.threshold, options.coverage,
                options.windows))));
    }

    /** Answer texts in order; the first one that cannot be answered throws. */
    @NotNull
    public List<@NotNull Answer> predictBatch(
            @NotNull Collection<@NotNull String> texts, @NotNull PredictOptions options) {
        List<Answer> answers = new ArrayList<>(texts.size());
        for (String text : texts) {
            answers.add(predict(text, options));
        }
        return answers;
    }

    /** The way of the label with this id through both stages. */
    @NotNull
    public Explanation explain(@NotNull String text, @NotNull String id) {
        byte[] asked = Native.bytes(text);
        byte[] named = Native.bytes(id);
        return withSession(session ->
                new Explanation(new Told(Native.explain(session, asked, Native.find(handle, named)))));
    }

    /** Answer the bundle's goldens; gives how many there are. Throws where one differs. */
    public int selfTest() {
        return withSession(session -> new Told(Native.selfTest(session)).number());
    }

    /** Texts to try the bundle with. */
    @NotNull
    public List<@NotNull String> goldenTexts() {
        int count = getInfo().getGoldens();
        return withBundle(bundle -> {
            List<String> texts = new ArrayList<>(count);
            for (int golden = 0; golden < count; golden++) {
                texts.add(Native.string(Native.golden(bundle, golden)));
            }
            return texts;
        });
    }

    @NotNull
    public Info getInfo() {
        return withBundle(bundle -> new Info(new Told(Native.info(bundle))));
    }

    // ---- labels

    /** The number of the label with this id. */
    public int find(@NotNull String id) {
        byte[] named = Native.bytes(id);
        return withBundle(bundle -> Native.find(bundle, named));
    }

    /** Labels have the numbers below this one, those that were added and retired among them. */
    public int labelsEnd() {
        return withBundle(Native::labelsEnd);
    }

    /** The label with a number. */
    @NotNull
    public ListedLabel label(int number) {
        return withBundle(bundle -> new ListedLabel(new Told(Native.label(bundle, number))));
    }

    /** The first labels whose text begins with a prefix. */
    @NotNull
    public List<@NotNull ListedLabel> complete(@NotNull String prefix, int limit) {
        byte[] typed = Native.bytes(prefix);
        return withBundle(bundle -> {
            List<ListedLabel> found = new ArrayList<>();
            int most = Math.max(0, Math.min(limit, Native.labelsEnd(bundle)));
            for (int number : Native.complete(bundle, typed, most)) {
                found.add(new ListedLabel(new Told(Native.label(bundle, number))));
            }
            return found;
        });
    }

    /** Add a label, which is found at once by its text and its aliases; throws where its id is in the set. */
    public void addLabel(@NotNull String id, @NotNull String text, @NotNull String @NotNull ... aliases) {
        put(id, text, aliases, false);
    }

    /** Put a label in the place of the one with this id. */
    public void replaceLabel(@NotNull String id, @NotNull String text, @NotNull String @NotNull ... aliases) {
        put(id, text, aliases, true);
    }

    /** Take the label with this id out of the set. */
    public void retireLabel(@NotNull String id) {
        byte[] named = Native.bytes(id);
        withBundle(bundle -> {
            Native.retire(bundle, named);
            return true;
        });
    }

    /** Give everything back, once the calls under way are done. Closing twice is allowed. */
    @Override
    public void close() {
        lock.writeLock().lock();
        try {
            for (Long session = idle.poll(); session != null; session = idle.poll()) {
                Native.closeSession(session);
            }
            Native.close(handle);
            handle = 0;
        } finally {
            lock.writeLock().unlock();
        }
    }

    // ---- how it is done

    private interface Call<T> {
        T run(long handle);
    }

    private void put(String id, String text, String[] aliases, boolean replace) {
        byte[][] others = new byte[aliases.length][];
        for (int place = 0; place < others.length; place++) {
            others[place] = Native.bytes(aliases[place]);
        }
        byte[] named = Native.bytes(id);
        byte[] said = Native.bytes(text);
        withSession(session -> {
            Native.add(session, named, said, others, replace);
            return true;
        });
    }

    private <T> T withBundle(Call<T> call) {
        lock.readLock().lock();
        try {
            if (handle == 0) {
                throw new EdgexlException(BAD_ARGUMENT, "the bundle is closed");
            }
            return call.run(handle);
        } finally {
            lock.readLock().unlock();
        }
    }

    private <T> T withSession(Call<T> call) {
        return withBundle(bundle -> {
            Long borrowed = idle.poll();
            long session = borrowed == null ? Native.openSession(bundle) : borrowed;
            try {
                return call.run(session);
            } finally {
                idle.add(session);
            }
        });
    }

    /** A path as the library takes it. */
    static byte @NotNull [] path(@NotNull String path) {
        if (path.indexOf('\0') >= 0) {
            throw new EdgexlException(BAD_ARGUMENT, "a path holds no NUL");
        }
        return Native.bytes(path);
    }
}
