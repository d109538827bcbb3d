"""How a student starts: what of a model's words and layers comes along, and where its projection is aimed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgexl.base.errors import BadInput
from edgexl.base.progress import no_progress
from edgexl.distill.stages.search import encode_table
from edgexl.distill.stages.start import (
    Start,
    open_start,
    prune,
    start_screener,
    start_token_map,
    token_product,
)
from edgexl.student.architecture import Architecture, DenseStep
from edgexl.student.importing.static import STATIC
from edgexl.student.screeners import kind_of
from edgexl.student.screeners.kind import factorise
from edgexl.student.screeners.ngrams import NgramScreener, NgramShape
from edgexl.student.screeners.transformer import ScreenerConfig, TransformerScreener, TransformerShape, word_rows
from edgexl.student.text import encode_texts
from edgexl.student.tokens import TokenTable
from tests.distill.conftest import write_teacher
from tests.tiny import tiny_labels, tiny_ngram_student, tiny_reasoner, tiny_student, tiny_tokenizer

CPU = torch.device("cpu")
SHAPE = TransformerShape(teacher_layers=(1, 0), max_tokens=12, query_dims=10, word_dims=16, ffn_dims=5)


def encoder(seed: int = 0, **changes: Any) -> TransformerScreener:
    torch.manual_seed(seed)
    sizes: dict[str, Any] = {
        "vocabulary": 1026, "max_tokens": 20, "word_dims": 24, "state_dims": 24, "ffn_dims": 8, "heads": 2, "layers": 2,
    }  # fmt: skip
    made = TransformerScreener(ScreenerConfig(**(sizes | changes), query_dims=None))
    with torch.no_grad():
        made.word.weight.normal_()
    return made


def test_a_word_table_is_factorised_by_its_weighted_principal_directions() -> None:
    draw = torch.Generator().manual_seed(0)
    table = torch.randn(40, 6, generator=draw) @ torch.diag(torch.tensor([5.0, 0.1, 3.0, 0.2, 1.0, 0.3])) + 2
    weights = torch.rand(40, generator=draw) + 0.1
    share = (weights / weights.sum()).double().numpy()
    mean = share @ table.double().numpy()
    centred = table.double().numpy() - mean
    values = np.linalg.eigvalsh(centred.T @ (centred * share[:, None]))
    three = factorise(table, 3, weights)
    np.testing.assert_allclose(three.mean, mean, rtol=1e-4)
    assert three.rows.shape == (40, 3)
    assert three.map.shape == (3, 6)
    lost = table.numpy() - (three.rows @ three.map + three.mean).numpy()
    assert (lost**2).sum(1) @ share == pytest.approx(values[:3].sum(), rel=1e-3)  # the least that three can lose
    spread = (three.rows.numpy() ** 2 * share[:, None]).sum(0)
    np.testing.assert_allclose(spread, values[::-1][:3], rtol=1e-3)  # the leading ones first
    whole = factorise(table, 6, weights)
    np.testing.assert_allclose(whole.rows @ whole.map + whole.mean, table, atol=1e-4)


def test_a_screener_takes_layers_words_and_strongest_units() -> None:
    source = encoder()
    start = Start(source, tiny_tokenizer())
    old = np.arange(200, 700)
    counts = torch.arange(500, dtype=torch.float32)
    made = start_screener(start, SHAPE, start.tokenizer, old, counts)
    assert isinstance(made, TransformerScreener)
    assert made.config == ScreenerConfig(
        vocabulary=500, max_tokens=12, word_dims=16, state_dims=24, ffn_dims=5, heads=2, layers=2, query_dims=10,
        eps=source.config.eps,
    )  # fmt: skip
    words = factorise(source.word.weight.detach()[old], 16, (counts + 1).sqrt())
    assert torch.equal(made.word.weight, words.rows)
    assert torch.allclose(made.word_map.weight, words.map.T)
    assert torch.allclose(made.position.weight, source.position.weight[:12] + words.mean)
    for own, theirs in ((0, 1), (1, 0)):
        mine, layer = made.layers[own].state_dict(), source.layers[theirs].state_dict()
        strength = layer["up.weight"].norm(dim=1) * layer["down.weight"].norm(dim=0)
        kept = sorted(range(8), key=lambda unit: -float(strength[unit]))[:5]
        assert torch.equal(mine["up.weight"], layer["up.weight"][sorted(kept)])
        assert torch.equal(mine["up.bias"], layer["up.bias"][sorted(kept)])
        assert torch.equal(mine["down.weight"], layer["down.weight"][:, sorted(kept)])
        for name in set(mine) - {"up.weight", "up.bias", "down.weight"}:
            assert torch.equal(mine[name], layer[name]), name
    assert torch.equal(made.embedding_norm.weight, source.embedding_norm.weight)


def test_sizes_that_a_model_has_not_are_its_own() -> None:
    source = encoder()
    start = Start(source, tiny_tokenizer())
    shape = replace(SHAPE, max_tokens=99, word_dims=99, ffn_dims=0)
    made = start_screener(start, shape, start.tokenizer, np.arange(1026), torch.zeros(1026))
    assert isinstance(made, TransformerScreener)
    assert (made.config.max_tokens, made.config.word_dims, made.config.ffn_dims) == (20, 24, 8)
    assert torch.equal(made.word.weight, source.word.weight)
    assert torch.equal(made.position.weight, source.position.weight)
    for layers in ((2,), (0, -1)):
        with pytest.raises(BadInput, match="has layers 0 to 1"):
            start_screener(start, replace(SHAPE, teacher_layers=layers), start.tokenizer, np.arange(9), torch.zeros(9))


def test_layers_of_another_architecture_stay_what_they_are() -> None:
    ids = torch.randint(1, 1026, (2, 9))
    mask = torch.ones_like(ids)
    before = Architecture(norms="before", positions="rotary", gated=True, bias=False, local_layers=(1,), window=2)
    for architecture in (Architecture(relative_buckets=32), before):
        source = encoder(architecture=architecture)
        start = Start(source.eval(), tiny_tokenizer())
        shape = replace(SHAPE, teacher_layers=(0, 1), max_tokens=20, query_dims=24, word_dims=24, ffn_dims=0)
        made = start_screener(start, shape, start.tokenizer, np.arange(1026), torch.ones(1026)).eval()
        assert isinstance(made, TransformerScreener)
        assert made.config.architecture == architecture
        torch.testing.assert_close(made(ids, mask)[1], source(ids, mask)[1])
        narrow = replace(shape, word_dims=12, ffn_dims=4, teacher_layers=(0,))
        fewer = start_screener(start, narrow, start.tokenizer, np.arange(1026), torch.ones(1026))
        assert isinstance(fewer, TransformerScreener)
        assert fewer.config.architecture == replace(architecture, local_layers=())
        assert fewer(ids, mask)[0].shape == (2, 24)
    with pytest.raises(BadInput, match="normalises its words for layer 0 alone; begin with 0"):
        start_screener(start, replace(SHAPE, teacher_layers=(1,)), start.tokenizer, np.arange(1026), torch.ones(1026))


def test_models_that_students_cannot_be_made_of_are_refused() -> None:
    static = encoder(layers=0, architecture=STATIC)
    dense = encoder(dense=(DenseStep(8, "tanh"),))
    for source, sentence in ((static, "a table of words without layers"), (dense, "dense layers with activations")):
        start = Start(source, tiny_tokenizer())
        with pytest.raises(BadInput, match=sentence):
            start_screener(start, SHAPE, start.tokenizer, np.arange(1026), torch.ones(1026))


def test_a_table_behind_a_map_is_read_through_it() -> None:
    source = encoder(word_dims=16)
    rows = word_rows(source)
    assert rows.shape == (1026, 24)
    assert torch.allclose(rows[7], source.word_map(source.word(torch.tensor(7))))


def test_pieces_are_kept_by_their_use() -> None:
    start = Start(encoder(vocabulary=1030), tiny_tokenizer())
    texts = ["ba be", "ba bi ba", "do"]
    tokenizer, old, counts = prune(start, texts, 0)
    assert tokenizer is start.tokenizer
    assert old.tolist() == list(range(1030))  # four rows more than there are pieces
    ba, be, do = (start.tokenizer.token_to_id(word) for word in ("ba", "be", "do"))
    assert [int(counts[piece]) for piece in (ba, be, do, 1029)] == [3, 1, 1, 0]
    smaller, old, counts = prune(start, texts, 60)
    assert len(old) == len(counts) == smaller.get_vocab_size()
    assert len(old) < 1026
    assert old[smaller.token_to_id("ba")] == ba
    assert int(counts[smaller.token_to_id("ba")]) == 3
    assert smaller.token_to_id("[CLS]") is not None


def test_a_screener_of_ngrams_begins_with_the_words() -> None:
    source = encoder()
    tokenizer = tiny_tokenizer()
    shape = NgramShape(buckets=50, word_dims=16, query_dims=10, max_tokens=12)
    made = start_screener(Start(source, tokenizer), shape, tokenizer, np.arange(1026), torch.ones(1026))
    assert isinstance(made, NgramScreener)
    assert (made.config.dims, made.config.ffn_dims, made.config.query_dims) == (16, 32, 10)
    assert (made.config.vocabulary, made.config.buckets, made.config.orders) == (1026, 50, (2, 3))
    words = factorise(source.word.weight.detach(), 16, (torch.ones(1026) + 1).sqrt()).rows
    rows = made.table.weight.detach()
    assert torch.allclose(rows[1:1026], words[1:] / words.norm(dim=1).mean(), atol=1e-6)
    assert not rows[0].any()
    assert rows[1026:].std() == pytest.approx(0.02, rel=0.15)


def test_a_projection_is_aimed_where_it_should_land() -> None:
    student = tiny_student()
    screener = student.screener
    assert isinstance(screener, TransformerScreener)
    texts = list(student.labels.texts[:200])
    with torch.no_grad():
        screener.projection.weight.normal_(std=0.3)
        screener.projection.bias.normal_(std=0.3)
    weight, bias = screener.projection.weight.detach().clone(), screener.projection.bias.detach().clone()
    bare = TransformerScreener(replace(screener.config, query_dims=None))
    bare.load_state_dict({k: v for k, v in screener.state_dict().items() if not k.startswith("projection.")})
    tokens = TokenTable.of(encode_texts(student.tokenizer, texts, 16), CPU)
    pooled = encode_table(bare.eval(), tokens, "", no_progress).clone()
    wanted = pooled @ weight.T + bias
    with torch.no_grad():
        screener.projection.weight.zero_()
        screener.projection.bias.zero_()
    kind_of(screener).aim(screener, tokens, wanted)
    landed = pooled @ screener.projection.weight.T + screener.projection.bias
    spread = (wanted - wanted.mean(0)).square().sum()
    assert float(((landed - wanted).square().sum() / spread).detach()) < 0.01
    assert torch.allclose(landed.mean(0), wanted.mean(0), atol=1e-3)
    # the ridge is a thousandth of the states' mean energy
    centred = (pooled - pooled.mean(0)).double()
    gram = centred.T @ centred
    ridge = 1e-3 * gram.diagonal().mean() * torch.eye(len(gram)).double()
    exact = torch.linalg.solve(gram + ridge, centred.T @ (wanted - wanted.mean(0)).double()).T
    assert torch.allclose(screener.projection.weight.double(), exact, atol=1e-3)


def test_the_reasoners_words_are_a_map_of_the_screeners() -> None:
    student = tiny_student(tiny_labels())
    product = token_product(student.screener)
    assert (product.table, product.name, product.rows) == (
        "screener.word.weight", "reasoner.text.tokens.weight", 1026,
    )  # fmt: skip
    grams = token_product(tiny_ngram_student().screener)
    assert (grams.table, grams.rows) == ("screener.table.weight", 1026)
    reasoner = tiny_reasoner()  # 16 dimensions a piece
    words = torch.randn(500, 20, generator=torch.Generator().manual_seed(0)) * torch.linspace(3, 0.5, 20)
    token_map = start_token_map(words, reasoner)
    assert token_map.shape == (20, 16)
    made = words @ token_map
    np.testing.assert_allclose(made.std(0) * 4, 1, rtol=1e-4)  # sixteen of a sixteenth's variance: length about 1
    assert int((token_map != 0).sum()) == 16
    assert int((start_token_map(words[:, :5], reasoner) != 0).sum()) == 5


def test_a_start_is_a_model_or_a_student_with_layers(tmp_path: Path) -> None:
    student = tiny_student()
    student.save(tmp_path / "student")
    start = open_start(str(tmp_path / "student"))
    assert torch.allclose(start.encoder.word.weight, student.screener.word.weight, atol=0.02)  # type: ignore[arg-type,union-attr]
    tiny_ngram_student().save(tmp_path / "grams")
    with pytest.raises(BadInput, match="has no transformer"):
        open_start(str(tmp_path / "grams"), "transformer")
    imported = open_start(str(write_teacher(tmp_path / "model")))
    assert (imported.encoder.config.layers, imported.encoder.config.query_dims) == (3, None)
