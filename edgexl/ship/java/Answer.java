package {module};

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.jetbrains.annotations.NotNull;

/** What a text was answered with. */
public final class Answer {
    private final List<Label> labels;
    private final boolean noneFits;
    private final boolean coverageHolds;
    private final boolean truncated;
    private final int tokens;
    private final int windows;
    private final double ms;

    Answer(@NotNull Told told) {
        int count = told.number();
        noneFits = told.number() != 0;
        coverageHolds = told.number() != 0;
        truncated = told.number() != 0;
        tokens = told.number();
        windows = told.number();
        ms = told.real();
        List<Label> read = new ArrayList<>(count);
        for (int place = 0; place < count; place++) {
            int index = told.number();
            float probability = told.fraction();
            float logit = told.fraction();
            String id = told.text();
            read.add(new Label(id, told.text(), probability, logit, index));
        }
        labels = Collections.unmodifiableList(read);
    }

    /** Best first. */
    @NotNull
    public List<@NotNull Label> getLabels() {
        return labels;
    }

    /** The best label is likely to be wrong. */
    public boolean isNoneFits() {
        return noneFits;
    }

    /** The labels have the coverage that was asked for. */
    public boolean isCoverageHolds() {
        return coverageHolds;
    }

    /** The text is longer than what was read of it. */
    public boolean isTruncated() {
        return truncated;
    }

    public int getTokens() {
        return tokens;
    }

    public int getWindows() {
        return windows;
    }

    public double getMs() {
        return ms;
    }
}
