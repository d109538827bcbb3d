package {module};

import android.app.Activity;
import android.app.Instrumentation;
import android.os.Bundle;
import java.io.IOException;
import java.io.InputStream;

/** Answers vectors.tsv on the device that it runs on, and says each line: `am instrument -w -r`. */
public final class Proof extends Instrumentation {
    @Override
    public void onCreate(Bundle arguments) {
        super.onCreate(arguments);
        start();
    }

    @Override
    public void onStart() {
        super.onStart();
        try ({module}.Bundle words = {Class}.open(getContext());
                InputStream table = getContext().getAssets().open("vectors.tsv")) {
            for (String line : Vectors.answer(words, table)) {
                say("vector", line);
            }
            finish(Activity.RESULT_OK, new Bundle());
        } catch (IOException | EdgexlException error) {
            say("error", error.toString());
            finish(Activity.RESULT_CANCELED, new Bundle());
        }
    }

    private void say(String key, String text) {
        Bundle told = new Bundle();
        told.putString(key, text);
        sendStatus(0, told);
    }
}
