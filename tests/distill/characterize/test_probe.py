"""Probing a small random language model, against the same probabilities without a cache."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from edgexl.base.errors import BadInput
from edgexl.data import Dataset
from edgexl.distill.characterize.bench import Bench
from edgexl.distill.characterize.probe import SHARES, _contrasts, _Prober, probe_reasoning
from edgexl.distill.characterize.study import set_up
from edgexl.distill.teachers import TraceTeacher
from edgexl.distill.teachers.local_model import LocalModel
from edgexl.distill.teachers.prompt import Questionnaire
from tests.tiny import tiny_tokenizer

# the shares of seven words cut it at 0, 2, 4, 5 and 7
THOUGHT = "be bi do ba da fa kin"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A random Llama, whose tokenizer would put [CLS] and [SEP] around what it is given."""
    torch.manual_seed(0)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tiny_tokenizer(), unk_token="[UNK]", eos_token="[SEP]")
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        initializer_range=0.4, tie_word_embeddings=False,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(tmp_path / "llama")
    tokenizer.save_pretrained(tmp_path / "llama")
    return tmp_path / "llama"


@pytest.fixture
def bench(traces: tuple[Path, Dataset]) -> Bench:
    path, data = traces
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[1] |= {"reasoning": THOUGHT, "shortlist": ["id-kitten"]}  # nothing wrong came up, and no label is like it
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return set_up(TraceTeacher(path, data.labels), data, shortlist=4)


def test_labels_that_are_set_against_each_other(bench: Bench) -> None:
    assert isinstance(bench.teacher, TraceTeacher)
    strangers = set()
    for bench.seed in range(40):
        drawn = bench.draw(5).integers(0, 8, (3, 4)).tolist()
        chosen = _contrasts(bench, bench.teacher).tolist()
        for row, (right, wrong) in enumerate((({0}, 2), ({4}, None), ({0, 6}, 2))):
            left = [label for label in drawn[row] if label not in right | {wrong}] or drawn[row]
            first = bench.sample.gold[row, 0]
            assert chosen[row] == [first, left[0] if wrong is None else wrong, left[0]]
            strangers.add(left[0])
    assert strangers == set(range(8))


def test_the_log_probability_is_the_one_without_a_cache(source: Path, bench: Bench) -> None:
    model = LocalModel(str(source))
    model.model.float()
    questions = Questionnaire(bench.labels)
    found, lengths = _Prober(model, questions).along("a tame wolf", THOUGHT, ["sheep dog", "cow"])

    def ids(text: str) -> list[int]:
        return list(model.tokenizer(text, add_special_tokens=False)["input_ids"])

    assert lengths == [7, 3]  # in letters
    for share, cut in zip(range(5), (0, 2, 4, 5, 7), strict=True):
        for column, label in enumerate(("sheep dog", "cow")):
            before = ids(model.prompt(questions.messages("a tame wolf"))) + ids(THOUGHT)[:cut] + ids("\n\nFinal:\n- ")
            with torch.no_grad():
                logits = model.model(input_ids=torch.tensor([before + ids(label)])).logits[0].log_softmax(-1)
            wanted = sum(float(logits[len(before) - 1 + place, piece]) for place, piece in enumerate(ids(label)))
            assert found[share, column] == pytest.approx(wanted, abs=1e-3)
    assert np.ptp(found[:, 0]) > 0.1  # or this shows nothing


def test_a_probe_is_the_mean_over_the_queries_with_a_reasoning(source: Path, bench: Bench) -> None:
    told = probe_reasoning(bench, str(source))
    assert (told["model"], told["queries"]) == ("llama", 2)
    assert [row["share"] for row in told["by_share"]] == list(SHARES)
    assert isinstance(bench.teacher, TraceTeacher)
    prober = _Prober(LocalModel(str(source)), Questionnaire(bench.labels))
    chosen = _contrasts(bench, bench.teacher)
    by_query = [
        prober.along(text, bench.teacher.traces[text].reasoning or "", [bench.labels.texts[i] for i in chosen[row]])
        for row, text in enumerate(bench.sample.texts[:2])
    ]
    for share, row in enumerate(told["by_share"]):
        for kind, name in enumerate(("gold", "near_miss", "random")):
            values = [found[share, kind] for found, _ in by_query]
            assert row[name] == pytest.approx(np.mean(values))
            pieces = [lengths[kind] for _, lengths in by_query]
            assert row[f"{name}_a_token"] == pytest.approx(np.mean(np.divide(values, pieces)))
            assert row[f"{name}_interval"] == pytest.approx([min(values), max(values)])


def test_a_model_that_fails_on_some_prefixes_is_refused(source: Path, bench: Bench) -> None:
    """Its vector of one word, which only the end of one reasoning holds, is no number."""
    model = LlamaForCausalLM.from_pretrained(source)
    with torch.no_grad():
        model.model.embed_tokens.weight[tiny_tokenizer().token_to_id("kin")] = torch.nan
    model.save_pretrained(source)
    found, _ = _Prober(LocalModel(str(source)), Questionnaire(bench.labels)).along("a", THOUGHT, ["dog"])
    assert np.isfinite(found[:, 0]).tolist() == [True, True, True, True, False]
    with pytest.raises(BadInput, match="logits of llama are not finite"):
        probe_reasoning(bench, str(source))
