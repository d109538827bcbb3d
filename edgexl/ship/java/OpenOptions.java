package {module};

import org.jetbrains.annotations.NotNull;
import org.jetbrains.annotations.Nullable;

/** How a bundle is opened; each method gives new options. */
public final class OpenOptions {
    /** With the public keys that the package was made with, if any: one of them must have signed the bundle. */
    @NotNull
    public static final OpenOptions DEFAULT = new OpenOptions(0, null, new String[] {{keys}}, {least_version}L, null);

    final int flags;
    final long leastVersion;
    final byte @Nullable [] signature;

    @Nullable
    private final String labels;

    private final String[] keys;

    private OpenOptions(
            int flags, @Nullable String labels, String[] keys, long leastVersion, byte @Nullable [] signature) {
        this.flags = flags;
        this.labels = labels;
        this.keys = keys;
        this.leastVersion = leastVersion;
        this.signature = signature;
    }

    private OpenOptions withFlag(int flag) {
        return new OpenOptions(flags | flag, labels, keys, leastVersion, signature);
    }

    /** Check the hash of every section, which reads the whole file. */
    @NotNull
    public OpenOptions withVerify() {
        return withFlag(Native.VERIFY);
    }

    /** Read the file into memory instead of mapping it: someone may write to it while it is open. */
    @NotNull
    public OpenOptions withCopy() {
        return withFlag(Native.COPY);
    }

    /** The file that keeps changes of labels. Without this it lies beside a bundle that has a path, and labels of
     * others cannot be changed. */
    @NotNull
    public OpenOptions withLabels(@NotNull String path) {
        return new OpenOptions(flags, path, keys, leastVersion, signature);
    }

    /** Public keys of minisign's, one of which must have signed the bundle, in the place of those that there were, and
     * of their least version. None: signatures are not looked at. */
    @NotNull
    public OpenOptions withTrustedKeys(@NotNull String @NotNull ... trusted) {
        return new OpenOptions(flags, labels, trusted.clone(), 0, signature);
    }

    /** The least version that the signer may have given it. */
    @NotNull
    public OpenOptions withLeastVersion(long version) {
        return new OpenOptions(flags, labels, keys, version, signature);
    }

    /** The signature of a bundle that does not hold it. */
    @NotNull
    public OpenOptions withSignature(byte @NotNull [] content) {
        return new OpenOptions(flags, labels, keys, leastVersion, content.clone());
    }

    byte @NotNull [] @NotNull [] keys() {
        byte[][] lines = new byte[keys.length][];
        for (int place = 0; place < keys.length; place++) {
            lines[place] = Bundle.path(keys[place]);
        }
        return lines;
    }

    byte @Nullable [] labels() {
        return labels == null ? null : Bundle.path(labels);
    }
}
