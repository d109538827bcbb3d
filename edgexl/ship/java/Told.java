package {module};

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.jetbrains.annotations.NotNull;

/** Reads what edgexl_jni.c wrote. */
final class Told {
    private final ByteBuffer content;

    Told(byte @NotNull [] content) {
        this.content = ByteBuffer.wrap(content).order(ByteOrder.nativeOrder());
    }

    int number() {
        return content.getInt();
    }

    long large() {
        return content.getLong();
    }

    float fraction() {
        return content.getFloat();
    }

    double real() {
        return content.getDouble();
    }

    @NotNull
    String text() {
        byte[] bytes = new byte[content.getInt()];
        content.get(bytes);
        return Native.string(bytes);
    }
}
