"""From a file of labels to answers in many scripts: composed and decomposed, full-width, cased, emoji."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

import edgexl
from edgexl.compiler.from_files import Sources, check_sources, compile_sources
from edgexl.use.inspect import inspect

LABELS = (
    "crème brûlée", "Gießkanne", "Öl für Fahrräder", "sécateur", "piñata", "Ångström", "свеча", "ёлка", "мышеловка",
    "水", "蝋燭", "ネズミ捕り", "洗濯機", "가위", "손톱깎이", "ماء", "شمعة", "مصيدة فئران", "น้ำ", "เทียนไข", "กับดักหนู",
    "नमस्ते", "שעון מעורר", "ὕδωρ", "umbrella", "Umbrella stand", "🎂 birthday cake", "👩‍🚀 astronaut", "ABC 123",
    "½ liter",
)  # fmt: skip
EXTRA = ("another thing", "ein Ding", "une chose", "вещь", "物", "شيء", "ของ", "🎉")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small BERT of random weights with a SentencePiece-like vocabulary of all these scripts."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("encoder") / "unigram"
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.UnigramTrainer(vocab_size=600, special_tokens=special, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator([*LABELS, *EXTRA] * 20, trainer)
    around = [("<s>", 0), ("</s>", 2)]
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=around)
    torch.manual_seed(0)
    size = tokenizer.get_vocab_size()
    config = BertConfig(
        vocab_size=size, hidden_size=64, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=64, initializer_range=0.3,
    )  # fmt: skip
    BertModel(config).eval().save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    return folder


@pytest.fixture(scope="module", params=[pytest.param("all", marks=pytest.mark.slow), "labels"])
def bundle(request: pytest.FixtureRequest, encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("languages")
    rows = [f"{place},{text}" for place, text in enumerate(LABELS)]
    (folder / "labels.csv").write_text("\n".join(["id,text", *rows]) + "\n", encoding="utf-8")
    (folder / "recipe.toml").write_text(
        f'name = "languages"\n[screener]\nscheme = "int8-token"\n[vocabulary]\nkeep = "{request.param}"\n'
        '[index]\nrotation = "none"\ncoarse = "sign"\ncode_bytes = 8\n[calibrate]\nmethod = "none"\n',
        encoding="utf-8",
    )
    out = folder / "labels.exl"
    checked = check_sources(Sources(folder / "labels.csv", str(encoder)), out, folder / "recipe.toml")
    compile_sources(checked, out)
    assert ("vocabulary" in inspect(out)) == (request.param == "labels")
    return out


def full_width(text: str) -> str:
    """ASCII as CJK fonts write it."""
    return "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text)


FORMS = {
    "as it is": lambda text: text,
    "composed": lambda text: unicodedata.normalize("NFC", text),
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
    "compatibility": lambda text: unicodedata.normalize("NFKD", text),
    "full-width": full_width,
}


@pytest.mark.parametrize("form", FORMS)
def test_a_label_is_found_by_each_form_of_its_text(bundle: Path, form: str) -> None:
    with edgexl.open_bundle(bundle) as handle:
        plain = {text: handle.predict(text, k=1) for text in LABELS}
        for text in LABELS:
            answer = handle.predict(FORMS[form](text), k=1)
            assert answer.labels[0].text == text, (form, text)
            assert answer.labels[0].logit == pytest.approx(plain[text].labels[0].logit, abs=1e-5), (form, text)


def test_cases_differ_and_unknown_scripts_are_answered(bundle: Path) -> None:
    with edgexl.open_bundle(bundle) as handle:
        upper, lower = (handle.predict(text, k=1).labels[0] for text in ("UMBRELLA", "umbrella"))
        assert lower.text == "umbrella"
        assert upper.logit != lower.logit  # this vocabulary tells cases apart
        for text in ("ᚠᚢᚦ", "🦤", "\u200d", "  ", "日本語 and English", "مرحبا hello שלום"):
            assert handle.predict(text, k=3).labels
