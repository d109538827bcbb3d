package {module};

import java.nio.charset.StandardCharsets;
import org.jetbrains.annotations.NotNull;
import org.jetbrains.annotations.Nullable;

/** What edgexl_jni.c has of the C library. Texts are UTF-8; a handle is a pointer, which nobody else may make up. */
final class Native {
    static final int VERIFY = {verify};
    static final int COPY = {copy};

    static {
        Loader.load("{library}");
    }

    private Native() {}

    static native long open(
            byte @NotNull [] path, byte @Nullable [] labels, int flags, byte @NotNull [] @NotNull [] keys,
            long leastVersion, byte @Nullable [] signature);

    static native long openMemory(
            byte @NotNull [] content, byte @Nullable [] labels, int flags, byte @NotNull [] @NotNull [] keys,
            long leastVersion, byte @Nullable [] signature);

    static native long openDescriptor(
            int descriptor, long offset, long length, byte @Nullable [] labels, int flags,
            byte @NotNull [] @NotNull [] keys, long leastVersion, byte @Nullable [] signature);

    static native byte @NotNull [] update(
            byte @NotNull [] path, byte @NotNull [] patch, byte @Nullable [] out, byte @Nullable [] labels, int flags,
            byte @NotNull [] @NotNull [] keys, long leastVersion, byte @Nullable [] signature,
            byte @Nullable [] patchSignature, boolean signedPatch);

    static native void close(long bundle);

    static native long openSession(long bundle);

    static native void closeSession(long session);

    static native byte @NotNull [] predict(
            long session, byte @NotNull [] text, int k, boolean useThreshold, float threshold, float coverage,
            int windows);

    static native byte @NotNull [] explain(long session, byte @NotNull [] text, int label);

    static native byte @NotNull [] selfTest(long session);

    static native byte @NotNull [] info(long bundle);

    static native byte @NotNull [] golden(long bundle, int golden);

    static native byte @NotNull [] version();

    static native int find(long bundle, byte @NotNull [] id);

    static native int labelsEnd(long bundle);

    static native byte @NotNull [] label(long bundle, int number);

    static native int @NotNull [] complete(long bundle, byte @NotNull [] prefix, int limit);

    static native void add(
            long session, byte @NotNull [] id, byte @NotNull [] text, byte @NotNull [] @NotNull [] aliases,
            boolean replace);

    static native void retire(long bundle, byte @NotNull [] id);

    /** Called by edgexl_jni.c where the library refuses something. */
    static void refuse(int status, byte @NotNull [] sentence) {
        throw new EdgexlException(status, string(sentence));
    }

    static byte @NotNull [] bytes(@NotNull String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    @NotNull
    static String string(byte @NotNull [] bytes) {
        return new String(bytes, StandardCharsets.UTF_8);
    }
}
