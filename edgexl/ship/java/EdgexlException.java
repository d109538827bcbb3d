package {module};

import org.jetbrains.annotations.NotNull;

/** What the library refuses, in one sentence. */
public final class EdgexlException extends RuntimeException {
    private static final long serialVersionUID = 1;
    private final int status;

    EdgexlException(int status, @NotNull String sentence) {
        super(sentence);
        this.status = status;
    }

    /** Its number in edgexl.h, such as 101: the text holds no token. */
    public int getStatus() {
        return status;
    }
}
