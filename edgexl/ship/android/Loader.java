package {module};

import org.jetbrains.annotations.NotNull;

/** Loads edgexl_jni.c's library, which Android finds in the app. */
final class Loader {
    private Loader() {}

    static void load(@NotNull String name) {
        System.loadLibrary(name);
    }
}
