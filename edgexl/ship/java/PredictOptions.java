package {module};

import org.jetbrains.annotations.NotNull;

/** How a text is answered; each method gives new options, so that threads may share them. The default: 5 labels. */
public final class PredictOptions {
    /** 5 labels. */
    @NotNull
    public static final PredictOptions DEFAULT = new PredictOptions(0, false, 0, 0, 0);

    final int k;
    final boolean useThreshold;
    final float threshold;
    final float coverage;
    final int windows;

    private PredictOptions(int k, boolean useThreshold, float threshold, float coverage, int windows) {
        if (k < 0 || windows < 0) {
            throw new IllegalArgumentException("k and windows count, and are not negative");
        }
        this.k = k;
        this.useThreshold = useThreshold;
        this.threshold = threshold;
        this.coverage = coverage;
        this.windows = windows;
    }

    /** At most so many labels; 0: 5, or all with a threshold or a coverage. */
    @NotNull
    public PredictOptions withK(int k) {
        return new PredictOptions(k, useThreshold, threshold, coverage, windows);
    }

    /** Only labels at least that probable; negative: the bundle's own threshold. */
    @NotNull
    public PredictOptions withThreshold(float threshold) {
        return new PredictOptions(k, true, threshold, coverage, windows);
    }

    /** The smallest set that holds a right label with this probability. Not together with a threshold. */
    @NotNull
    public PredictOptions withCoverage(float coverage) {
        return new PredictOptions(k, useThreshold, threshold, coverage, windows);
    }

    /** A long text is read in at most so many windows; 0: as many as the bundle allows, 1: its beginning only. */
    @NotNull
    public PredictOptions withWindows(int windows) {
        return new PredictOptions(k, useThreshold, threshold, coverage, windows);
    }
}
