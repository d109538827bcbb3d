package {module};

import org.jetbrains.annotations.NotNull;

/** A label of the set. */
public final class ListedLabel {
    /** Where a label comes from, and whether it is still in the set. */
    public enum State {
        COMPILED,
        ADDED,
        RETIRED
    }

    private final State state;
    private final String id;
    private final String text;

    ListedLabel(@NotNull Told told) {
        state = State.values()[told.number()];
        id = told.text();
        text = told.text();
    }

    @NotNull
    public String getId() {
        return id;
    }

    @NotNull
    public String getText() {
        return text;
    }

    @NotNull
    public State getState() {
        return state;
    }
}
