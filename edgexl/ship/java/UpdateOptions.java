package {module};

import org.jetbrains.annotations.NotNull;
import org.jetbrains.annotations.Nullable;

/** How a bundle is updated; each method gives new options. */
public final class UpdateOptions {
    /** In the old bundle's place, signed as {@link OpenOptions#DEFAULT} says. */
    @NotNull
    public static final UpdateOptions DEFAULT = new UpdateOptions(OpenOptions.DEFAULT, null, null, false);

    final OpenOptions open;
    final byte @Nullable [] patchSignature;
    final boolean signedPatch;

    @Nullable
    private final String out;

    private UpdateOptions(
            OpenOptions open, @Nullable String out, byte @Nullable [] patchSignature, boolean signedPatch) {
        this.open = open;
        this.out = out;
        this.patchSignature = patchSignature;
        this.signedPatch = signedPatch;
    }

    /** How the new bundle is opened: who must have signed it, and which file keeps changes of labels. */
    @NotNull
    public UpdateOptions withOpen(@NotNull OpenOptions options) {
        return new UpdateOptions(options, out, patchSignature, signedPatch);
    }

    /** Where the new bundle is written, instead of the old one's place. */
    @NotNull
    public UpdateOptions withOut(@NotNull String path) {
        return new UpdateOptions(open, path, patchSignature, signedPatch);
    }

    /** The signature of the patch itself. Without this it is the file of the patch's path and ".minisig", if that is
     * there. */
    @NotNull
    public UpdateOptions withPatchSignature(byte @NotNull [] content) {
        return new UpdateOptions(open, out, content.clone(), signedPatch);
    }

    /** With trusted keys: refuse a patch that is not signed. */
    @NotNull
    public UpdateOptions withSignedPatch() {
        return new UpdateOptions(open, out, patchSignature, true);
    }

    byte @Nullable [] out() {
        return out == null ? null : Bundle.path(out);
    }
}
