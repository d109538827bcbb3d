"""Collecting traces: a language model answers a data set's queries, and each answer becomes a line of a trace file.

The file only grows. Every line is on the disk before the next is written, so that a kill, an interrupt or a dead
endpoint loses no finished answer; the same command goes on where it ended. A last line that was torn is dropped, and
its text queried again.
"""

from __future__ import annotations

import contextlib
import hashlib
import heapq
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgexl.base.arrays import Ints
from edgexl.base.errors import BadInput
from edgexl.base.files import check_input
from edgexl.base.gzipped_lines import encode_line, read_lines
from edgexl.base.progress import Progress, no_progress
from edgexl.data import Query, open_dataset
from edgexl.data.label_set import LabelSet
from edgexl.data.layout import Split
from edgexl.distill.stages.compute import choose_device
from edgexl.distill.teachers.endpoint import Endpoint, LanguageModel, Refused, Reply, Stopped
from edgexl.distill.teachers.local_model import LocalModel
from edgexl.distill.teachers.opening import open_teacher
from edgexl.distill.teachers.prompt import Messages, Questionnaire
from edgexl.distill.teachers.traces import read_traces

ENDPOINT = "openai"
_BEGINNING = b'{"text":'
# So many refusals in a row are no accident of one text.
_REFUSALS_IN_A_ROW = 10


@dataclass(frozen=True)
class Prices:
    """What a million tokens cost, in any currency."""

    prompt: float
    completion: float

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """The price of so many tokens."""
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6


@dataclass(frozen=True)
class EndpointOptions:
    """What only an endpoint takes (see `Endpoint`). `concurrency`: questions at once, 4 where None."""

    model: str | None = None
    base_url: str | None = None
    requests_per_minute: float | None = None
    concurrency: int | None = None


@dataclass
class Collected:
    """What a collection did: counts of texts, names and tokens.

    `traces` and the `file_...` tokens are of the whole file, all else of this run. `refused` texts have no trace;
    `without_final_labels` is how many new traces settle on nothing, `cut_short` how many hit the longest answer.
    """

    traces: int = 0
    collected: int = 0
    skipped: int = 0
    refused: int = 0
    without_final_labels: int = 0
    cut_short: int = 0
    unmatched_names: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    file_prompt_tokens: int = 0
    file_completion_tokens: int = 0

    def as_json(self, prices: Prices | None) -> dict[str, Any]:
        """All counts; `cost` and `file_cost` are None without prices."""
        costs = {
            "cost": prices.cost(self.prompt_tokens, self.completion_tokens) if prices else None,
            "file_cost": prices.cost(self.file_prompt_tokens, self.file_completion_tokens) if prices else None,
        }
        return {**vars(self), **costs}

    def describe(self, prices: Prices | None) -> str:
        """The same for people, a line of answers and one of tokens."""
        odd = {
            "without final labels": self.without_final_labels,
            "cut short": self.cut_short,
            "refused": self.refused,
            "names that are no labels": self.unmatched_names,
        }
        notes = "".join(f", {count:,} {name}" for name, count in odd.items() if count)
        costs = self.as_json(prices)
        paid = f", cost {costs['cost']:,.4f} (the whole file {costs['file_cost']:,.4f})" if prices else ""
        return (
            f"{self.collected:,} answers{notes}; {self.skipped:,} were there already\n"
            f"{self.prompt_tokens:,} prompt tokens, {self.completion_tokens:,} tokens of answers{paid}"
        )


@dataclass(frozen=True)
class _Question:
    text: str
    messages: Messages


_Outcome = tuple[_Question, Reply | Refused] | Exception


def choose_texts(queries: Iterable[Query], count: int | None) -> list[str]:
    """`count` of the queries' texts, each once, in the order of their hashes: more of them begin with the same ones."""
    texts = {query.text for query in queries if query.text.strip()}
    ranked = ((hashlib.sha256(text.encode()).digest(), text) for text in texts)
    chosen = sorted(ranked) if count is None else heapq.nsmallest(count, ranked)
    return [text for _, text in chosen]


def collect_from(
    source: str,
    data: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    split: Split,
    queries: int | None,
    shortlist: int,
    candidates: str | None,
    shown: int,
    max_tokens: int,
    device: str,
    endpoint: EndpointOptions,
    progress: Progress,
    log: Callable[[str], None],
) -> Collected:
    """Open `source` and the data set, and `collect` the traces of `queries` texts of a split (all, where None).

    `source`: "openai" (which needs `endpoint`), or a causal language model as `LocalModel` takes it. `candidates`: a
    student or encoder (as `open_teacher` takes it) that screens the `shown` labels of each prompt.
    """
    model = _open_model(source, endpoint, max_tokens, device, progress)
    dataset = open_dataset(data)
    screen = None
    if candidates:
        screener = open_teacher(candidates, dataset.labels, device)

        def screen(texts: Sequence[str]) -> Ints:
            return screener.screen(texts, shown, progress)[0]

    return collect(
        model,
        dataset.labels,
        choose_texts(dataset.queries(split), queries),
        path,
        shortlist=shortlist,
        screen=screen,
        concurrency=(endpoint.concurrency or 4) if source == ENDPOINT else 1,
        progress=progress,
        log=log,
    )


def _open_model(
    source: str, endpoint: EndpointOptions, max_tokens: int, device: str, progress: Progress
) -> LanguageModel:
    if source == ENDPOINT:
        if endpoint.model is None:
            raise BadInput("The source openai needs --model: the name by which the endpoint knows the model.")
        return Endpoint(endpoint.model, endpoint.base_url, endpoint.requests_per_minute, max_tokens)
    if endpoint != EndpointOptions():
        raise BadInput(
            "--model, --base-url, --requests-per-minute and --concurrency go with the source openai, "
            f"not with {source}; leave them out."
        )
    progress(f"open {source}", 0, 1)
    model = LocalModel(source, choose_device(device), max_tokens)
    progress(f"open {source}", 1, 1)
    return model


def collect(
    model: LanguageModel,
    labels: LabelSet,
    texts: Sequence[str],
    path: str | os.PathLike[str],
    *,
    shortlist: int = 20,
    screen: Callable[[Sequence[str]], Ints] | None = None,
    concurrency: int = 1,
    progress: Progress = no_progress,
    log: Callable[[str], None] = lambda _line: None,
) -> Collected:
    """Query `model` about each of `texts` that the trace file at `path` does not have yet, and append its answers.

    `shortlist`: how many labels the model may list. `screen` gives the label numbers [n,K] that texts are shown, -1
    pads; without it a prompt shows small label sets whole and a sample of large ones. `concurrency`: questions at once.

    The first interrupt sends nothing more, waits for what was sent, writes it and raises `KeyboardInterrupt`; a second
    one does not wait. Raises `BadInput` where the file is another model's or not a trace file, or the model fails.
    """
    target = Path(path)
    if target.suffix != ".jsonl":
        raise BadInput(f"Traces are appended to an unzipped file; name one that ends in .jsonl, not {target.name}.")
    report = Collected()
    done = _resume(target, labels, model.name, report, log)
    pending = [text for text in texts if text not in done]
    report.skipped = len(texts) - len(pending)
    if not pending:
        return report
    questionnaire = Questionnaire(labels, shortlist)
    shown = screen(pending) if screen else None
    candidates = shown.tolist() if shown is not None else [None] * len(pending)
    questions = (_question(questionnaire, text, row) for text, row in zip(pending, candidates, strict=True))
    stop = threading.Event()
    target.parent.mkdir(parents=True, exist_ok=True)
    failure: Exception | None = None
    refusals = 0
    with open(target, "ab") as file, _interrupts_stop(stop, log):
        for outcome in _outcomes(model, questions, questionnaire, concurrency, stop):
            question, reply = (None, outcome) if isinstance(outcome, Exception) else outcome
            if question and isinstance(reply, Reply):
                _append(file, _record(question.text, reply, questionnaire, labels, model.name, report))
                refusals = 0
            elif question and report.collected and refusals + 1 < _REFUSALS_IN_A_ROW:
                refusals += 1
                report.refused += 1
                log(f"{reply} The text was {question.text[:60]!r}.")
            elif isinstance(reply, Exception):
                failure = failure or reply
                stop.set()  # what has been sent is still waited for and written
            progress("collect traces", report.collected + report.refused, len(pending))
    if failure:
        log(f"{target} holds {report.traces} traces; the same command goes on from there")
        raise failure
    return report


def _question(questionnaire: Questionnaire, text: str, shown: list[int] | None) -> _Question:
    candidates = None if shown is None else [label for label in shown if label >= 0]
    return _Question(text, questionnaire.messages(text, candidates))


def _resume(target: Path, labels: LabelSet, model: str, report: Collected, log: Callable[[str], None]) -> set[str]:
    """The texts that the file has already; repairs a torn end and adds the file's tokens to the report."""
    if not target.exists():
        return set()
    check_input(target)
    _drop_torn_line(target, log)
    for line, record in read_lines(target):
        if record.get("model", model) != model:
            raise BadInput(
                f"{target}, line {line}: this trace is by {record['model']}, not by {model}; "
                "give each model a file of its own."
            )
        report.file_prompt_tokens += _count(record.get("prompt_tokens"))
        report.file_completion_tokens += _count(record.get("completion_tokens"))
    texts = {trace.text for trace in read_traces(target, labels)}
    report.traces = len(texts)
    return texts


def _drop_torn_line(target: Path, log: Callable[[str], None]) -> None:
    """Cut the file after its last line end: what follows was being written when something stopped it.

    Raises `BadInput`, and cuts nothing, where that does not begin as a trace does: the file is something else.
    """
    with open(target, "rb+") as file:
        size = position = file.seek(0, os.SEEK_END)
        end = 0
        while position and not end:
            start = max(0, position - 65_536)
            file.seek(start)
            end = file.read(position - start).rfind(b"\n") + 1
            end, position = (start + end if end else 0), start
        file.seek(end)
        if not _BEGINNING.startswith(file.read(len(_BEGINNING))):
            raise BadInput(f"{target} does not end in a trace; name another file, or end its last line.")
        if end < size:
            file.truncate(end)
            log(f"{target}: dropped a torn last line of {size - end} bytes; its text is queried again")


def _count(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _record(
    text: str, reply: Reply, questionnaire: Questionnaire, labels: LabelSet, model: str, report: Collected
) -> dict[str, Any]:
    """The line of a trace, entered into the report."""
    content, reasoning = _whole(reply.content), _whole(reply.reasoning or "")
    answer = questionnaire.read(content, reasoning)
    report.collected += 1
    report.traces += 1
    report.without_final_labels += not answer.labels
    report.cut_short += reply.cut_short
    report.unmatched_names += len(answer.unmatched)
    report.prompt_tokens += reply.prompt_tokens
    report.completion_tokens += reply.completion_tokens
    report.file_prompt_tokens += reply.prompt_tokens
    report.file_completion_tokens += reply.completion_tokens
    return {
        "text": text,
        "shortlist": [labels.ids[label] for label in answer.shortlist],
        "labels": [labels.ids[label] for label in answer.labels],
        "reasoning": f"{reasoning}\n{content}" if reasoning else content,
        "unmatched": list(answer.unmatched),
        "model": model,
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
        "cut_short": reply.cut_short,
    }


def _whole(text: str) -> str:
    """The text without halves of surrogate pairs, which an answer that was cut short can end in."""
    return text.encode("utf-8", "replace").decode()


def _append(file: Any, record: dict[str, Any]) -> None:
    """Write a line and see it to the disk."""
    file.write(encode_line(record))
    file.flush()
    os.fsync(file.fileno())


def _query(model: LanguageModel, question: _Question, questionnaire: Questionnaire, stop: threading.Event) -> Reply:
    """The answer; of a model that lists labels and settles on none, with its answer to the question for that."""
    first = model.query(question.messages, stop)
    again = questionnaire.messages_to_settle(question.messages, first.content, first.reasoning)
    if again is None:
        return first
    # not `stop`: this finishes an answer that is on its way
    second = model.query(again, threading.Event())
    return Reply(
        content=f"{first.content}\n\nFinal:\n{second.content}",
        reasoning=first.reasoning,
        prompt_tokens=first.prompt_tokens + second.prompt_tokens,
        completion_tokens=first.completion_tokens + second.completion_tokens,
        cut_short=first.cut_short or second.cut_short,
    )


def _outcomes(
    model: LanguageModel,
    questions: Iterator[_Question],
    questionnaire: Questionnaire,
    concurrency: int,
    stop: threading.Event,
) -> Iterator[_Outcome]:
    """Answers and errors as they come; after `stop`, those of questions already sent."""
    results: queue.Queue[_Outcome | None] = queue.Queue()
    turn = threading.Lock()

    def work() -> None:
        try:
            while not stop.is_set():
                with turn:
                    question = next(questions, None)
                if question is None:
                    break
                try:
                    results.put((question, _query(model, question, questionnaire, stop)))
                except Refused as refusal:
                    results.put((question, refusal))
        except Stopped:
            pass
        except Exception as error:  # raised again by the reader of the results
            results.put(error)
        finally:
            results.put(None)

    # daemons, so that a second interrupt need not wait for an endpoint's answer
    for _ in range(concurrency):
        threading.Thread(target=work, daemon=True).start()
    running = concurrency
    try:
        while running:
            outcome = results.get()
            if outcome is None:
                running -= 1
            else:
                yield outcome
    finally:
        stop.set()


@contextlib.contextmanager
def _interrupts_stop(stop: threading.Event, log: Callable[[str], None]) -> Iterator[None]:
    """Turn the first interrupt into `stop`, and raise it at the end; a second one is raised at once."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals come to the main thread only
        return
    interrupted = threading.Event()

    def on_interrupt(_signal: int, _frame: Any) -> None:
        if interrupted.is_set():
            raise KeyboardInterrupt
        interrupted.set()
        stop.set()
        log("interrupted: waiting for the answers that are on their way (interrupt again to leave them)")

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if interrupted.is_set():
        raise KeyboardInterrupt
