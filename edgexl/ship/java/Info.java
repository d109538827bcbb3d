package {module};

import org.jetbrains.annotations.NotNull;

/** What a bundle holds. */
public final class Info {
    private final int[] numbers = new int[10];
    private final float threshold;
    private final String kernel;
    private final String manifest;

    Info(@NotNull Told told) {
        for (int place = 0; place < numbers.length; place++) {
            numbers[place] = told.number();
        }
        threshold = told.fraction();
        kernel = told.text();
        manifest = told.text();
    }

    public int getLabels() {
        return numbers[0];
    }

    /** Labels, aliases and descriptions. */
    public int getRows() {
        return numbers[1];
    }

    public int getDims() {
        return numbers[2];
    }

    /** The largest k. */
    public int getShortlist() {
        return numbers[3];
    }

    public int getMaxTokens() {
        return numbers[4];
    }

    public int getWindows() {
        return numbers[5];
    }

    public int getGoldens() {
        return numbers[6];
    }

    /** As "4.1". */
    @NotNull
    public String getFormat() {
        return numbers[7] + "." + numbers[8];
    }

    /** The bundle was read into memory, not mapped. */
    public boolean isCopied() {
        return numbers[9] != 0;
    }

    public float getThreshold() {
        return threshold;
    }

    @NotNull
    public String getKernel() {
        return kernel;
    }

    /** JSON. */
    @NotNull
    public String getManifest() {
        return manifest;
    }
}
