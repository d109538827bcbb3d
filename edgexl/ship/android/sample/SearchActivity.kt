package {module}.sample

import android.app.Activity
import android.os.Bundle
import android.os.Handler
import android.os.Looper
import android.text.Editable
import android.text.TextWatcher
import android.view.View
import android.view.ViewGroup
import android.widget.BaseAdapter
import android.widget.EditText
import android.widget.ListView
import android.widget.ProgressBar
import android.widget.TextView
import java.io.IOException
import java.util.concurrent.Executors
import kotlin.math.roundToInt
import {module}.Answer
import {module}.EdgexlException
import {module}.Label
import {module}.{Class}

/** Search as you type: each change of the text is answered by a thread of its own, which only does the latest. */
class SearchActivity : Activity() {
    private val worker = Executors.newSingleThreadExecutor()
    private val main = Handler(Looper.getMainLooper())
    private val rows = Rows()
    private lateinit var query: EditText
    private lateinit var said: TextView

    /** Of the worker alone. */
    private var words: {module}.Bundle? = null

    @Volatile private var latest = ""

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        setContentView(R.layout.search)
        query = findViewById(R.id.query) as EditText
        said = findViewById(R.id.said) as TextView
        (findViewById(R.id.labels) as ListView).adapter = rows
        query.addTextChangedListener(
            object : TextWatcher {
                override fun beforeTextChanged(text: CharSequence?, start: Int, count: Int, after: Int) = Unit

                override fun onTextChanged(text: CharSequence?, start: Int, before: Int, count: Int) = Unit

                override fun afterTextChanged(text: Editable?) = search(text?.toString().orEmpty())
            },
        )
        worker.execute {
            try {
                words = {Class}.open(applicationContext)
                main.post { search(query.text.toString()) }
            } catch (error: IOException) {
                main.post { said.text = error.message }
            } catch (error: EdgexlException) {
                main.post { said.text = error.message }
            }
        }
        query.requestFocus()
    }

    override fun onDestroy() {
        latest = ""
        worker.execute { words?.close() }
        worker.shutdown()
        super.onDestroy()
    }

    private fun search(text: String) {
        latest = text
        worker.execute {
            // what was typed since makes this one needless
            if (text == latest) {
                val answer = answer(text)
                main.post { if (text == latest) show(text, answer) }
            }
        }
    }

    /** Null: there is nothing to answer, yet or at all. */
    private fun answer(text: String): Answer? =
        try {
            if (text.isBlank()) null else words?.predict(text, SHOWN)
        } catch (refused: EdgexlException) {
            null
        }

    private fun show(text: String, answer: Answer?) {
        rows.labels = answer?.labels.orEmpty()
        said.text = if (answer?.isNoneFits == true) getString(R.string.none_fits) else getString(R.string.empty)
        said.visibility = if (text.isBlank() || answer?.isNoneFits == true) View.VISIBLE else View.GONE
    }

    private inner class Rows : BaseAdapter() {
        var labels: List<Label> = emptyList()
            set(value) {
                field = value
                notifyDataSetChanged()
            }

        override fun getCount() = labels.size

        override fun getItem(position: Int) = labels[position]

        override fun getItemId(position: Int) = labels[position].index.toLong()

        override fun isEnabled(position: Int) = false

        override fun getView(position: Int, old: View?, parent: ViewGroup): View {
            val row = old ?: layoutInflater.inflate(R.layout.label, parent, false)
            val label = labels[position]
            val percent = 100 * label.probability
            (row.findViewById(R.id.text) as TextView).text = label.text
            (row.findViewById(R.id.percent) as TextView).text = "${percent.roundToInt()} %"
            (row.findViewById(R.id.bar) as ProgressBar).progress = (1000 * label.probability).roundToInt()
            row.contentDescription = getString(R.string.row, label.text, percent)
            return row
        }
    }

    private companion object {
        const val SHOWN = 10
    }
}
