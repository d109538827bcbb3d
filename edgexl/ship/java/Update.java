package {module};

/** What an update did. */
public final class Update {
    private final long newBytes;
    private final int added;
    private final int retired;
    private final int dropped;

    Update(Told told) {
        newBytes = told.large();
        added = told.number();
        retired = told.number();
        dropped = told.number();
    }

    /** The new bundle's bytes. */
    public long getNewBytes() {
        return newBytes;
    }

    /** How many labels of the label file were carried over. */
    public int getAdded() {
        return added;
    }

    /** How many compiled labels stay retired. */
    public int getRetired() {
        return retired;
    }

    /** How many changes the new bundle has already, or does not have the label of. */
    public int getDropped() {
        return dropped;
    }
}
