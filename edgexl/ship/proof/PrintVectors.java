package {module};

import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;

/** Prints what the bundle of the jar answers to the table that is named. Android has no such program: see Proof. */
public final class PrintVectors {
    private PrintVectors() {}

    public static void main(String[] arguments) throws IOException {
        try (Bundle bundle = {Class}.open();
                InputStream table = new FileInputStream(arguments[0])) {
            for (String line : Vectors.answer(bundle, table)) {
                System.out.write((line + "\n").getBytes(StandardCharsets.UTF_8));
            }
            System.out.flush();
        }
    }
}
