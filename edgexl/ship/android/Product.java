package {module};

import android.content.Context;
import android.content.res.AssetFileDescriptor;
import java.io.File;
import java.io.FileNotFoundException;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import org.jetbrains.annotations.NotNull;

/** {name} {version}: {summary}. Opening takes milliseconds and is for a thread that is not the main one. */
public final class {Class} {
    /** The bundle's name among the app's assets, also where an AI pack that comes with the app brings it. */
    @NotNull
    public static final String ASSET = "{file}";

    private static final String SHA256 = "{sha256}";
    private static final long BYTES = {bytes}L;

    private {Class}() {}

    /** Open the bundle in the app's assets, by a descriptor of the APK. Its labels are those of the compile. */
    @NotNull
    public static Bundle open(@NotNull Context context) throws IOException {
        return open(context, OpenOptions.DEFAULT);
    }

    /**
     * The same; {@link OpenOptions#withLabels} has changes of labels kept in a file. An asset that the app compresses has
     * no descriptor: it is opened as {@link #openInstalled} does. So is one on purpose where memory is scarce, for an
     * asset seldom begins where it can be mapped, and is read into memory then ({@link Info#isCopied}).
     */
    @NotNull
    public static Bundle open(@NotNull Context context, @NotNull OpenOptions options) throws IOException {
        try (AssetFileDescriptor asset = context.getAssets().openFd(ASSET)) {
            int descriptor = asset.getParcelFileDescriptor().getFd();
            return Bundle.open(descriptor, asset.getStartOffset(), asset.getLength(), options);
        } catch (FileNotFoundException compressed) {
            return openInstalled(context, options);
        }
    }

    /** Copy the bundle out of the assets once, to a file that is not backed up, and map it from there; or what
     * {@link #update} has made of it. */
    @NotNull
    public static Bundle openInstalled(@NotNull Context context, @NotNull OpenOptions options) throws IOException {
        return Bundle.open(install(context).getPath(), options);
    }

    /** Make the next bundle of the one that {@link #openInstalled} opens and a patch, a file; it opens that one from then
     * on, until the app brings another bundle. See {@link Bundle#update(String, String, UpdateOptions)}. */
    @NotNull
    public static Update update(@NotNull Context context, @NotNull String patch, @NotNull UpdateOptions options)
            throws IOException {
        return Bundle.update(install(context).getPath(), patch, options);
    }

    private static synchronized File install(Context context) throws IOException {
        File folder = context.getNoBackupFilesDir();
        File bundle = new File(folder, "{name}-" + SHA256.substring(0, 16) + ".exl");
        if (bundle.isFile()) {
            return bundle; // this one, or what patches have made of it
        }
        File written = new File(folder, bundle.getName() + ".part");
        try (InputStream asset = context.getAssets().open(ASSET);
                FileOutputStream out = new FileOutputStream(written)) {
            byte[] part = new byte[1 << 16];
            for (int read = asset.read(part); read >= 0; read = asset.read(part)) {
                out.write(part, 0, read);
            }
            out.getFD().sync();
        }
        if (written.length() != BYTES || !written.renameTo(bundle)) {
            throw new IOException(ASSET + " cannot be copied to " + folder);
        }
        File[] older = folder.listFiles((place, name) ->
                name.startsWith("{name}-") && name.endsWith(".exl") && !name.equals(bundle.getName()));
        for (File each : older == null ? new File[0] : older) {
            each.delete(); // of an earlier version of the app
        }
        return bundle;
    }
}
