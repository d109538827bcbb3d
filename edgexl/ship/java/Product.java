package {module};

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import org.jetbrains.annotations.NotNull;

/** {name} {version}: {summary}. */
public final class {Class} {
    private {Class}() {}

    /** Open the bundle that comes with this jar. Its labels are those of the compile. */
    @NotNull
    public static Bundle open() {
        return open(OpenOptions.DEFAULT);
    }

    /** The same; {@link OpenOptions#withLabels} has changes of labels kept in a file. */
    @NotNull
    public static Bundle open(@NotNull OpenOptions options) {
        try (InputStream inside = {Class}.class.getResourceAsStream("{file}")) {
            if (inside == null) {
                throw new IllegalStateException("{file} is not in the jar any more");
            }
            ByteArrayOutputStream content = new ByteArrayOutputStream({bytes});
            byte[] part = new byte[1 << 16];
            for (int read = inside.read(part); read >= 0; read = inside.read(part)) {
                content.write(part, 0, read);
            }
            return Bundle.open(content.toByteArray(), options);
        } catch (IOException error) {
            throw new IllegalStateException("{file} cannot be read: " + error.getMessage(), error);
        }
    }

    /** Print the labels of the texts that are given; --self-test: how many goldens are answered, as JSON. */
    public static void main(@NotNull String @NotNull [] texts) {
        try (Bundle bundle = open()) {
            for (String text : texts) {
                if (text.equals("--self-test")) {
                    System.out.println("{\"goldens\": " + bundle.selfTest() + ", \"failed\": 0}");
                    continue;
                }
                for (Label label : bundle.predict(text).getLabels()) {
                    System.out.printf("%6.1f%%  %s  (%s)%n", 100 * label.getProbability(), label.getText(), label.getId());
                }
            }
        } catch (EdgexlException error) {
            System.err.println(error.getMessage());
            System.exit(1);
        }
    }
}
