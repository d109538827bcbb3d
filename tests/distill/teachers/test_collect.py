"""Collecting traces, through a real endpoint over a real model and from the model itself, and everything that fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgexl.base.errors import BadInput
from edgexl.data import Query, write_dataset
from edgexl.data.label_set import LabelSet
from edgexl.distill.teachers import read_traces
from edgexl.distill.teachers.collect import choose_texts, collect
from edgexl.distill.teachers.endpoint import Endpoint, Reply
from edgexl.distill.teachers.local_model import LocalModel
from tests.command_line import Edgexl
from tests.distill.teachers.chat_server import ChatServer, serving
from tests.tiny import tiny_student

ANIMALS = LabelSet(tuple(f"id-{i}" for i in range(6)), ("dog", "cat", "horse", "cow", "fish", "bird"))
TEXTS = ("a pet that barks", "a pet that purrs", "it swims in water", "it gives us milk", "it flies")


@pytest.fixture
def server(smollm: LocalModel) -> Iterator[ChatServer]:
    """The endpoint, in good health."""
    with serving(smollm) as chat:
        yield chat


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Animals by what they do."""
    queries = [Query(f"q{i}", text, (i,)) for i, text in enumerate(TEXTS)]
    return write_dataset(tmp_path / "data", ANIMALS, queries, queries[:2], "made in code").directory


def endpoint(server: ChatServer, requests_per_minute: float | None = None) -> Endpoint:
    """An endpoint that does not wait long."""
    return Endpoint("smollm", server.base_url, requests_per_minute, max_tokens=8, first_wait_seconds=0.01)


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_command_collects_through_an_endpoint_and_goes_on(
    server: ChatServer, data: Path, tmp_path: Path, edgexl: Edgexl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    out = tmp_path / "t.jsonl"
    command = ["characterize", "collect", "openai", data, "-o", out, "--model", "smollm", "--base-url", server.base_url]
    prices = ["--price-in", "10", "--price-out", "100", "--json"]
    said = edgexl(*command, "--queries", "2", "--shortlist", "3", "--max-tokens", "8", *prices).json
    assert (said["traces"], said["collected"], said["skipped"]) == (2, 2, 0)
    assert server.keys[0] == "Bearer a-key"
    assert server.requests[0]["max_tokens"] == 8
    assert "up to 3 labels" in server.requests[0]["messages"][0]["content"]

    traces = list(read_traces(out, ANIMALS))
    assert [trace.text for trace in traces] == [record["text"] for record in records(out)]
    assert {trace.text for trace in traces} == set(choose_texts([Query("", text, ()) for text in TEXTS], 2))
    # weak as it is, the model names labels that the prompt shows
    assert all(trace.shortlist for trace in traces)
    assert all(trace.reasoning for trace in traces)
    tokens = [sum(record[key] for record in records(out)) for key in ("prompt_tokens", "completion_tokens")]
    assert [said["prompt_tokens"], said["completion_tokens"]] == tokens
    assert said["cost"] == pytest.approx((tokens[0] * 10 + tokens[1] * 100) / 1e6)

    before, asked = out.read_bytes(), len(server.requests)
    more = edgexl(*command, "--queries", "3", *prices).json
    assert (more["traces"], more["collected"], more["skipped"]) == (3, 1, 2)
    assert out.read_bytes().startswith(before)
    assert more["file_cost"] > more["cost"] > 0
    assert server.requests[asked]["messages"][-1]["content"].endswith(records(out)[-1]["text"])
    said_in_words = edgexl(*command, "--queries", "3", "--price-in", "1", "--price-out", "1").out
    assert "0 answers; 3 were there already" in said_in_words
    assert (
        f"cost 0.0000 (the whole file {(more['file_prompt_tokens'] + more['file_completion_tokens']) / 1e6:.4f})"
        in (said_in_words)
    )


@pytest.mark.slow
def test_the_command_collects_from_a_model_here(smollm: LocalModel, data: Path, tmp_path: Path, edgexl: Edgexl) -> None:
    out = tmp_path / "t.jsonl"
    student = tiny_student(ANIMALS)
    student.save(tmp_path / "student")
    screened = ["--candidates", tmp_path / "student", "--shown", "2"]
    directory = Path(smollm.model.name_or_path)
    said = edgexl(
        "characterize",
        "collect",
        directory,
        data,
        "-o",
        out,
        "--split",
        "tst",
        "--max-tokens",
        "12",
        *screened,
        "--json",
    ).json
    assert (said["traces"], said["collected"], said["cost"]) == (2, 2, None)
    assert {record["text"] for record in records(out)} == set(TEXTS[:2])
    assert {record["model"] for record in records(out)} == {"SmolLM2-135M-Instruct"}
    # two labels a prompt are fewer tokens than six
    one = smollm.answer([{"role": "user", "content": "x"}])
    assert one.prompt_tokens < records(out)[0]["prompt_tokens"] < 400


@pytest.mark.slow
def test_busy_and_broken_answers_are_asked_for_again(server: ChatServer, tmp_path: Path) -> None:
    server.failures = {0: 429, 1: 500, 2: "hang up", 4: 503}
    report = collect(endpoint(server), ANIMALS, TEXTS[:2], tmp_path / "t.jsonl", concurrency=1)
    assert server.times[1] - server.times[0] >= 0.2, "the server asked for that wait"
    assert report.collected == len(records(tmp_path / "t.jsonl")) == 2
    questions = [request["messages"] for request in server.requests]
    assert questions[0] == questions[1] == questions[2] == questions[3]


@pytest.mark.slow
def test_a_server_that_dies_loses_no_answer(server: ChatServer, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    lines: list[str] = []
    server.failures = {4: "die"}
    with pytest.raises(BadInput, match="gave no answer in 8 attempts"):
        collect(endpoint(server), ANIMALS, TEXTS, path, concurrency=2, log=lines.append)
    kept = records(path)
    assert 1 <= len(kept) < 5
    assert lines == [f"{path} holds {len(kept)} traces; the same command goes on from there"]
    server.dead = False
    report = collect(endpoint(server), ANIMALS, TEXTS, path, concurrency=2)
    assert (report.skipped, report.collected) == (len(kept), 5 - len(kept))
    assert records(path)[: len(kept)] == kept
    assert sorted(trace.text for trace in read_traces(path, ANIMALS)) == sorted(TEXTS)


@pytest.mark.slow
def test_a_torn_last_line_is_asked_again(server: ChatServer, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    whole = json.dumps({"text": TEXTS[0], "shortlist": [], "labels": [], "reasoning": "x" * 70_000}) + "\n"
    for torn in ('{"text": "' + TEXTS[1], json.dumps({"text": TEXTS[1], "shortlist": [], "labels": []})):
        path.write_text(whole + torn)
        lines: list[str] = []
        report = collect(endpoint(server), ANIMALS, TEXTS[:2], path, log=lines.append)
        assert (report.skipped, report.collected) == (1, 1)
        assert [trace.text for trace in read_traces(path, ANIMALS)] == list(TEXTS[:2])
        assert path.read_text().startswith(whole + '{"text":"' + TEXTS[1])
        assert "dropped a torn last line" in lines[0]
    path.write_text('{"text": "torn and alone')
    assert collect(endpoint(server), ANIMALS, TEXTS[:1], path).traces == 1


@pytest.mark.slow
def test_requests_keep_to_their_pace(server: ChatServer, tmp_path: Path) -> None:
    paced = endpoint(server, requests_per_minute=240)
    times = []
    create = paced._create
    paced._create = lambda **arguments: (times.append(time.monotonic()), create(**arguments))[1]
    began = time.monotonic()
    collect(paced, ANIMALS, TEXTS[:3], tmp_path / "t.jsonl", concurrency=3)
    assert len(times) >= 3
    # 240 a minute are one every quarter of a second; a busy machine may only make them later
    assert all(at - began >= 0.25 * turn for turn, at in enumerate(sorted(times)))


@pytest.mark.slow
def test_one_interrupt_waits_for_answers_and_loses_none(data: Path, tmp_path: Path, server: ChatServer) -> None:
    out = tmp_path / "t.jsonl"
    command = [sys.executable, "-m", "edgexl", "characterize", "collect", "openai", str(data), "-o", str(out)]
    command += ["--model", "smollm", "--base-url", server.base_url, "--concurrency", "2", "--requests-per-minute", "60"]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert server.answered.wait(300)
    running.send_signal(signal.SIGINT)
    said = running.communicate(timeout=300)[1]
    assert running.returncode == 130, said
    assert said.splitlines()[-1] == "edgexl: interrupted"
    questions = {json.dumps(request["messages"][:4]) for request in server.requests}
    assert 1 <= len(records(out)) <= len(questions) < 5
    assert out.read_text().endswith("\n")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "check the key"),
        (404, "check the key, --model and --base-url"),
        (400, "refused a question with status 400"),
    ],
)
def test_what_no_retry_cures_is_said_at_once(server: ChatServer, tmp_path: Path, status: int, words: str) -> None:
    server.failures = {0: status}
    with pytest.raises(BadInput, match=words):
        collect(endpoint(server), ANIMALS, TEXTS[:1], tmp_path / "t.jsonl")
    assert len(server.requests) == 1


@pytest.mark.slow
def test_a_text_that_is_refused_is_left_out(server: ChatServer, tmp_path: Path) -> None:
    lines: list[str] = []

    class Picky(Endpoint):
        def query(self, messages: Any, stop: threading.Event) -> Reply:
            if TEXTS[1] in messages[-1]["content"]:
                with server.lock:
                    server.failures = {len(server.requests): 422}
            return super().query(messages, stop)

    picky = Picky("smollm", server.base_url, max_tokens=8)
    report = collect(picky, ANIMALS, (TEXTS[2], TEXTS[1], TEXTS[3]), tmp_path / "u.jsonl", log=lines.append)
    assert (report.collected, report.refused) == (2, 1)
    assert TEXTS[1] in lines[0]
    assert {record["text"] for record in records(tmp_path / "u.jsonl")} == {TEXTS[2], TEXTS[3]}


def test_a_file_that_cannot_be_gone_on_with_is_refused(smollm: LocalModel, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    trace = {"text": "t", "shortlist": [], "labels": [], "model": "another"}
    path.write_text(json.dumps(trace) + "\n")
    with pytest.raises(BadInput, match=r"line 1: this trace is by another, not by SmolLM2-135M-Instruct"):
        collect(smollm, ANIMALS, TEXTS[:1], path)
    path.write_text(json.dumps({**trace, "model": smollm.name, "labels": ["lion"]}) + "\n")
    with pytest.raises(BadInput, match="line 1: 'labels' names the label 'lion'"):
        collect(smollm, ANIMALS, TEXTS[:1], path)
    path.write_text("an essay\nwithout a last line end")
    with pytest.raises(BadInput, match="does not end in a trace"):
        collect(smollm, ANIMALS, TEXTS[:1], path)
    assert path.read_text() == "an essay\nwithout a last line end"
    with pytest.raises(BadInput, match=r"ends in \.jsonl"):
        collect(smollm, ANIMALS, TEXTS[:1], tmp_path / "t.jsonl.gz")


def test_bad_commands_get_one_line(data: Path, tmp_path: Path, edgexl: Edgexl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    command = ["characterize", "collect"]
    out = ["-o", tmp_path / "t.jsonl"]
    edgexl(*command, "openai", data, *out).refuses(2, "needs --model")
    edgexl(*command, "openai", data, *out, "--model", "m").refuses(2, "set OPENAI_API_KEY")
    edgexl(*command, data, data, *out).refuses(2, "no causal language model")
    edgexl(*command, data, data, *out, "--concurrency", "2").refuses(2, "go with the source openai")
    assert "go together" in edgexl(*command, "openai", data, *out, "--price-in", "1").err
    assert not (tmp_path / "t.jsonl").exists()


def test_a_model_whose_logits_are_no_numbers_is_refused(smollm: LocalModel, tmp_path: Path) -> None:
    import torch

    weight = smollm.model.model.norm.weight
    before = weight.detach().clone()
    try:
        with torch.no_grad():
            weight.fill_(torch.nan)
        with pytest.raises(BadInput, match="logits of SmolLM2-135M-Instruct are not finite"):
            collect(smollm, ANIMALS, TEXTS[:1], tmp_path / "t.jsonl")
    finally:
        with torch.no_grad():
            weight.copy_(before)
    assert os.path.getsize(tmp_path / "t.jsonl") == 0


def test_a_question_that_is_too_long_is_refused(smollm: LocalModel) -> None:
    with pytest.raises(BadInput, match="takes 8192 tokens, but a question has"):
        smollm.answer([{"role": "user", "content": "word " * 9000}])


def test_an_answer_can_be_begun(smollm: LocalModel) -> None:
    asked = [{"role": "user", "content": "Count from one to five, separated by commas."}]
    reply = smollm.answer(asked, begun="1, 2, 3,")
    assert reply.content.lstrip().startswith("4")


def test_a_fault_in_asking_ends_the_collection(smollm: LocalModel, tmp_path: Path) -> None:
    def screen_out_of_range(texts: Sequence[str]) -> npt.NDArray[np.int64]:
        return np.full((len(texts), 1), len(ANIMALS))

    with pytest.raises(IndexError):
        collect(smollm, ANIMALS, TEXTS, tmp_path / "t.jsonl", screen=screen_out_of_range, concurrency=2)
