package {module};

import org.jetbrains.annotations.NotNull;

/** A label of an answer. */
public final class Label {
    private final String id;
    private final String text;
    private final float probability;
    private final float logit;
    private final int index;

    Label(@NotNull String id, @NotNull String text, float probability, float logit, int index) {
        this.id = id;
        this.text = text;
        this.probability = probability;
        this.logit = logit;
        this.index = index;
    }

    @NotNull
    public String getId() {
        return id;
    }

    @NotNull
    public String getText() {
        return text;
    }

    /** Calibrated: this share of such labels were right on held-out queries. */
    public float getProbability() {
        return probability;
    }

    public float getLogit() {
        return logit;
    }

    /** Its number in the label set. */
    public int getIndex() {
        return index;
    }

    @Override
    @NotNull
    public String toString() {
        return id + " " + probability + " " + text;
    }
}
