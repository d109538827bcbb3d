package {module};

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** Answers each line of a table of vectors. */
public final class Vectors {
    private Vectors() {}

    /** The lines of the table as they are answered here. */
    public static List<String> answer(Bundle bundle, InputStream table) throws IOException {
        List<String> answered = new ArrayList<>();
        BufferedReader lines = new BufferedReader(new InputStreamReader(table, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] cells = line.split("\t", -1);
            StringBuilder said = new StringBuilder(cells[0]);
            try {
                Answer answer = bundle.predict(cells[0], (cells.length - 2) / 2);
                said.append(answer.isNoneFits() ? "\t1" : "\t0");
                for (Label label : answer.getLabels()) {
                    int bits = Float.floatToRawIntBits(label.getProbability());
                    said.append('\t').append(label.getId()).append('\t').append(String.format("%08x", bits));
                }
            } catch (EdgexlException error) {
                said.append("\terror: ").append(error.getMessage());
            }
            answered.add(said.toString());
        }
        return answered;
    }
}
