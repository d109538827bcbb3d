"""Tokenizers of every kind that edgexl reproduces, to compare with Hugging Face's library (`benchmarks/tokenizer.py`).

Some are real ones out of packages. Those that no package carries have a small vocabulary, trained here, and their
family's real normalizer, pre-tokenizer, special and added tokens.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

ROOT = Path(__file__).resolve().parent.parent
OTHER_SCRIPTS = (
    "Ein Gerät zum Schutz vor Regen", "parapluie, ombrelle et défense contre la pluie", "зонт от дождя",
    "ομπρέλα της βροχής", "مظلة تحمي من المطر", "ร่มกันฝน", "雨をしのぐための傘", "挡雨的伞\uff0c还有阳伞",
    "비를 막는 우산", "मेंह से बचने का छाता", "\u03bf Σίσυφος", "\u0130stanbul'da \u0131\u015f\u0131k",
    "naïve café déjà-vu", "1234 5.67 ½ ² Ⅳ", "don't we'll they've I'm he'd",
)  # fmt: skip


def _packaged(name: str) -> str:
    from edgexl.student.importer import locate_model

    return (locate_model(name) / "tokenizer.json").read_text(encoding="utf-8")


def student() -> str:
    """The shipped student's."""
    return (ROOT / "students/wordnet/tokenizer.json").read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def corpus() -> tuple[str, ...]:
    """About 6,000 lines, mostly like English, the same in every run."""
    rng = random.Random(20261201)
    pieces = json.loads(student())["model"]["vocab"]
    words = sorted(piece for piece in pieces if piece.isalpha() and piece.isascii() and len(piece) > 1)
    words = rng.sample(words, min(6000, len(words)))
    lines = []
    for _ in range(5000):
        line = " ".join(rng.choices(words, weights=[1 / (i + 5) for i in range(len(words))], k=rng.randrange(3, 12)))
        lines.append(rng.choice((line, line.capitalize(), line + ".", line + "\n", "  " + line)))
    return (*lines, *OTHER_SCRIPTS * 60)


def _around(tokenizer: Tokenizer, first: str, last: str) -> None:
    special = [(name, tokenizer.token_to_id(name)) for name in dict.fromkeys((first, last))]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{first} $A {last}", special_tokens=special)


# ---- Byte-level BPE ----


def _byte_level(**settings: Any) -> dict[str, Any]:
    """A byte-level BPE trained here, as JSON."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(**settings)
    trainer = trainers.BpeTrainer(
        vocab_size=4000, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator(corpus(), trainer)
    return dict(json.loads(tokenizer.to_str()))


def roberta(add_prefix_space: bool = False) -> str:
    """RoBERTa's: <mask> takes the spaces before it, and the others are looked for in the normalised text."""
    tokenizer = Tokenizer.from_str(json.dumps(_byte_level(add_prefix_space=add_prefix_space) | {"added_tokens": []}))
    tokenizer.add_special_tokens([AddedToken(name, normalized=True) for name in ("<s>", "<pad>", "</s>", "<unk>")])
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False)])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=add_prefix_space)
    return str(tokenizer.to_str())


def modernbert() -> str:
    """ModernBERT's: NFC, added tokens of spaces and names of what was removed, looked for in the normalised text."""
    tokenizer = Tokenizer.from_str(json.dumps(_byte_level(add_prefix_space=False, use_regex=True)))
    tokenizer.normalizer = normalizers.NFC()
    spaces = [AddedToken(" " * count, normalized=True) for count in (24, 12, 8, 4, 3, 2)]
    tokenizer.add_tokens([AddedToken("|||IP_ADDRESS|||", normalized=True), *spaces])
    tokenizer.add_special_tokens([AddedToken(name, normalized=False) for name in ("[UNK]", "[CLS]", "[SEP]", "[PAD]")])
    tokenizer.add_special_tokens([AddedToken("[MASK]", lstrip=True, normalized=False)])
    _around(tokenizer, "[CLS]", "[SEP]")
    return str(tokenizer.to_str())


def whole_words() -> str:
    """As some tokenizers of Llama's kind: pieces that no merge makes are taken where they are a whole word."""
    spec = _byte_level(add_prefix_space=True)
    vocabulary = spec["model"]["vocab"]
    for piece in ("Ġumbrella", "Ġmousetraps", "12345", "Ġqqq", "zzzz"):
        vocabulary.setdefault(piece, len(vocabulary))
    spec["model"]["ignore_merges"] = True
    return json.dumps(spec)


# ---- BPE with SentencePiece's characters ----


def _sentencepiece_bpe(normalizer: Any, unknown: str = "<unk>") -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token=unknown, fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("▁"), "merged_with_next")
    special = ["<pad>", "<eos>", "<bos>", unknown, *(f"<0x{byte:02X}>" for byte in range(256))]
    tokenizer.train_from_iterator(
        corpus(), trainers.BpeTrainer(vocab_size=4000, special_tokens=special, show_progress=False)
    )
    spec = json.loads(tokenizer.to_str())
    spec["added_tokens"] = [token for token in spec["added_tokens"] if not token["content"].startswith("<0x")]
    tokenizer = Tokenizer.from_str(json.dumps(spec))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = None
    return tokenizer


def gemma() -> str:
    """Gemma's: spaces become marks, and a text is one word; runs of line feeds and marks are added tokens."""
    tokenizer = _sentencepiece_bpe(normalizers.Replace(" ", "▁"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    runs = ["\n\n", "\n\n\n", "▁▁", "▁▁▁▁", "<table>", "<start_of_turn>"]
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in runs])
    tokenizer.add_special_tokens([AddedToken("<mask>", normalized=False)])
    _around(tokenizer, "<bos>", "<eos>")
    return str(tokenizer.to_str())


def llama() -> str:
    """Llama 2's: a mark before each text, spaces become marks."""
    tokenizer = _sentencepiece_bpe(normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", tokenizer.token_to_id("<bos>"))]
    )
    return str(tokenizer.to_str())


def metaspace_bpe() -> str:
    """As Llama's newer files: a mark before the first text alone, by the pre-tokenizer; no fallback to bytes."""
    tokenizer = _sentencepiece_bpe(None)
    spec = json.loads(tokenizer.to_str())
    spec["model"] |= {"byte_fallback": False, "fuse_unk": False}
    tokenizer = Tokenizer.from_str(json.dumps(spec))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="first", split=False)
    _around(tokenizer, "<bos>", "<eos>")
    return str(tokenizer.to_str())


# ---- Unigram ----


def multilingual_e5() -> str:
    """multilingual-e5-small's own (XLM-R's vocabulary of 250,002)."""
    return _packaged("multilingual-e5-small")


def _unigram(normalizer: Any, pre_tokenizer: Any, **settings: Any) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, pre_tokenizer
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=3000, special_tokens=special, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    spec = json.loads(tokenizer.to_str())
    spec["model"] |= settings
    return Tokenizer.from_str(json.dumps(spec))


def nmt_unigram() -> str:
    """A Unigram with NFKC in the place of a charsmap, runs of spaces joined and the right end stripped."""
    steps = [
        normalizers.Nmt(), normalizers.NFKC(), normalizers.Strip(left=False, right=True),
        normalizers.Replace(Regex(" {2,}"), " "),
    ]  # fmt: skip
    tokenizer = _unigram(normalizers.Sequence(steps), pre_tokenizers.Metaspace("▁", prepend_scheme="always"))
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False)])
    _around(tokenizer, "<s>", "</s>")
    return str(tokenizer.to_str())


def fallback_unigram() -> str:
    """A Unigram that falls back to bytes, and decomposes and lower-cases first."""
    steps = [normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase(), normalizers.Strip()]
    tokenizer = _unigram(normalizers.Sequence(steps), pre_tokenizers.Metaspace("▁", prepend_scheme="always"))
    spec = json.loads(tokenizer.to_str())
    spec["model"]["vocab"] += [[f"<0x{byte:02X}>", -20.0 - byte / 7] for byte in range(256)]
    spec["model"]["byte_fallback"] = True
    return json.dumps(spec)


def static_unigram() -> str:
    """A static encoder's: no special tokens, punctuation apart, white space joined, a text of one word."""
    steps: list[Any] = [normalizers.Lowercase()]
    steps += [normalizers.Replace(char, f" {char} ") for char in "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"]
    steps += [normalizers.Replace(Regex("\\s+"), " "), normalizers.Strip(left=True, right=True)]
    tokenizer = _unigram(
        normalizers.Sequence(steps), pre_tokenizers.Metaspace("▁", prepend_scheme="always", split=False)
    )
    return str(tokenizer.to_str())


# ---- WordPiece ----


def mpnet() -> str:
    """all-mpnet-base-v2's own: an added token is looked for in the normalised text."""
    return _packaged("all-mpnet-base-v2")


def static_wordpiece() -> str:
    """A static encoder's: the student's WordPiece without special tokens around a text."""
    return json.dumps(json.loads(student()) | {"post_processor": None})


def cased_wordpiece() -> str:
    """WordPiece behind NFKC, with added tokens that are whole words."""
    spec = json.loads(student())
    spec["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Lowercase"}, {"type": "NFKC"}]}
    tokenizer = Tokenizer.from_str(json.dumps(spec))
    tokenizer.add_tokens([AddedToken("umbrella", single_word=True), AddedToken("ﬁn", normalized=True)])
    tokenizer.add_tokens([AddedToken("trap", single_word=True, normalized=False, rstrip=True)])
    return str(tokenizer.to_str())


KINDS: dict[str, Callable[[], str]] = {
    "wordpiece": student,
    "wordpiece: mpnet": mpnet,
    "wordpiece: static": static_wordpiece,
    "wordpiece: nfkc": cased_wordpiece,
    "unigram: multilingual-e5": multilingual_e5,
    "unigram: nfkc": nmt_unigram,
    "unigram: bytes": fallback_unigram,
    "unigram: static": static_unigram,
    "byte-level bpe: smollm2": lambda: _packaged_smollm2(),
    "byte-level bpe: roberta": roberta,
    "byte-level bpe: roberta, prefix": lambda: roberta(add_prefix_space=True),
    "byte-level bpe: modernbert": modernbert,
    "byte-level bpe: whole words": whole_words,
    "bpe: gemma": gemma,
    "bpe: llama": llama,
    "bpe: metaspace": metaspace_bpe,
}


def _packaged_smollm2() -> str:
    from edgexl.distill.teachers.local_model import unpack_language_model

    return (unpack_language_model("SmolLM2-135M-Instruct") / "tokenizer.json").read_text(encoding="utf-8")


def texts_of_kind(rng: random.Random, count: int) -> Iterator[str]:
    """What these kinds are sensitive to: spaces, marks, contractions, digits, long words without a seam."""
    atoms = [
        " ", "  ", "\n", "\n\n", "\t", "\u3000", "\xa0", "▁", "▁▁", "'s", "'ll", "'", "don't", "we've", "I'D",
        "1", "23", "½", "a", "Ab", "umbrella", "trap", "fin", "ﬁn", "é", "e\u0301", "\u0301", "각", "\u1100\u1161",
        "\u11a8", "漢字", "ไทย", "عربي", "😀", "👨\u200d👩", "क\u094dष", "\r\n", "\x00", "\u200b", "\ufffd", ".",
        "!", "<", "|||", "aaaa", "abab", "ABC", "<s>", "</s>", "<mask>", " <mask> ", "<unk>", "[CLS]",
        "|||IP_ADDRESS|||", "    ", "<table>", "zzzz", "12345", " qqq",
    ]  # fmt: skip
    for _ in range(count):
        yield "".join(rng.choices(atoms, k=rng.randrange(1, 14)))


def long_texts(rng: random.Random, count: int) -> Iterator[str]:
    """Words of hundreds of characters, of few letters: what a window of them must give as the whole word does."""
    words = [line.split() for line in corpus()[:500]]
    for _ in range(count):
        letters = rng.choice(("ab", "a", "abc", "thein", "的一是不", "กขค", "0123456789", "é▁x", "xyzé漢"))
        size = rng.randrange(40, 1500)
        if rng.random() < 0.3:
            yield "".join("".join(rng.choice(words)) for _ in range(rng.randrange(5, 40)))
        elif rng.random() < 0.5:
            yield "".join(rng.choices(letters, k=size))
        else:
            unit = "".join(rng.choices(letters, k=rng.randrange(1, 6)))
            yield (unit * size)[:size] + rng.choice(("", " b", "!"))
