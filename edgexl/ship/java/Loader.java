package {module};

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Locale;
import org.jetbrains.annotations.NotNull;

/** Loads edgexl_jni.c's library. */
final class Loader {
    private Loader() {}

    /** Load what the property edgexl.library names; else what lies in this jar; else, as in an APK, what the system
     * finds by its name. */
    static void load(@NotNull String name) {
        String named = System.getProperty("edgexl.library");
        if (named != null) {
            System.load(named);
            return;
        }
        String file = System.mapLibraryName(name);
        try (InputStream inside = Loader.class.getResourceAsStream("native/" + platform() + "/" + file)) {
            if (inside == null) {
                System.loadLibrary(name);
                return;
            }
            Path folder = Files.createTempDirectory("edgexl-");
            Path library = folder.resolve(file);
            folder.toFile().deleteOnExit();
            library.toFile().deleteOnExit(); // before its folder: the last one told is deleted first
            Files.copy(inside, library, StandardCopyOption.REPLACE_EXISTING);
            System.load(library.toString());
        } catch (IOException error) {
            throw new UnsatisfiedLinkError("the runtime cannot be written to a temporary file: " + error.getMessage());
        }
    }

    private static String platform() {
        String system = System.getProperty("os.name", "").toLowerCase(Locale.ROOT);
        String processor = System.getProperty("os.arch", "").toLowerCase(Locale.ROOT);
        String kind = system.startsWith("mac") ? "macos" : system.startsWith("windows") ? "windows" : "linux";
        switch (processor) {
            case "amd64":
            case "x86_64":
                return kind + "-x86-64";
            case "aarch64":
                return kind + "-arm64";
            default:
                return kind + "-" + processor;
        }
    }
}
