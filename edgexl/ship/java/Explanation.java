package {module};

import org.jetbrains.annotations.NotNull;

/** A label's way through both stages. Ranks count from 1. */
public final class Explanation {
    /** Which row of a label a text was most like. */
    public enum FoundBy {
        TEXT,
        ALIAS,
        DESCRIPTION
    }

    private final int screeningRank;
    private final float screeningScore;
    private final boolean shortlisted;
    private final int reasonerRank;
    private final float logit;
    private final float probability;
    private final FoundBy foundBy;

    Explanation(@NotNull Told told) {
        screeningRank = told.number();
        screeningScore = told.fraction();
        shortlisted = told.number() != 0;
        reasonerRank = told.number();
        logit = told.fraction();
        probability = told.fraction();
        foundBy = FoundBy.values()[told.number()];
    }

    public int getScreeningRank() {
        return screeningRank;
    }

    public float getScreeningScore() {
        return screeningScore;
    }

    /** False: the label was lost at screening, and the reasoner did not see it. */
    public boolean isShortlisted() {
        return shortlisted;
    }

    public int getReasonerRank() {
        return reasonerRank;
    }

    public float getLogit() {
        return logit;
    }

    public float getProbability() {
        return probability;
    }

    @NotNull
    public FoundBy getFoundBy() {
        return foundBy;
    }
}
