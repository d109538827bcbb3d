package {module};

import org.jetbrains.annotations.NotNull;
import org.jetbrains.annotations.Nullable;

/** How a bundle is opened; each method gives new options. */
public final class OpenOptions {
    @NotNull
    public static final OpenOptions DEFAULT = new OpenOptions(0, null);

    final int flags;
    @Nullable
    private final String labels;

    private OpenOptions(int flags, @Nullable String labels) {
        this.flags = flags;
        this.labels = labels;
    }

    /** Check the hash of every section, which reads the whole file. */
    @NotNull
    public OpenOptions withVerify() {
        return new OpenOptions(flags | Native.VERIFY, labels);
    }

    /** Read the file into memory instead of mapping it: someone may write to it while it is open. */
    @NotNull
    public OpenOptions withCopy() {
        return new OpenOptions(flags | Native.COPY, labels);
    }

    /** The file that keeps changes of labels. Without this it lies beside a bundle that has a path, and labels of
     * others cannot be changed. */
    @NotNull
    public OpenOptions withLabels(@NotNull String path) {
        return new OpenOptions(flags, path);
    }

    byte @Nullable [] labels() {
        return labels == null ? null : Bundle.path(labels);
    }
}
