"""Cutting a student's vocabulary to its label set: the word pieces that labels, queries and frequent words need.

A multilingual encoder's table of 250,000 rows is most of its bytes, and a label set in a few languages meets a tenth of
them. Texts of kept pieces have the vectors that they had; in others a word falls into shorter pieces, at worst into
characters (`edgexl.student.vocabulary`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn

from edgexl.base.arrays import Ints
from edgexl.base.errors import BadInput
from edgexl.student.screeners import kind_of
from edgexl.student.screeners.ngrams import NgramScreener
from edgexl.student.student import Student
from edgexl.student.vocabulary import count_pieces, prune_tokenizer

Keep = Literal["auto", "all", "labels"]
# "auto" leaves vocabularies of so many pieces alone, as those of one language are, and cuts others to so many.
AUTO_ABOVE, AUTO_PIECES = 1 << 16, 1 << 15


def cut_vocabulary(student: Student, keep: Keep | int, words: Sequence[str] = ()) -> tuple[Student, dict[str, Any]]:
    """The student with fewer word pieces, and what became of them: the manifest's `vocabulary`; nothing where all stay.

    "labels" keeps the pieces of label texts, aliases, descriptions, calibration queries and `words`; a number, of the
    others the model's most frequent ones, too, up to so many in all; "auto" does so where there are more than 65,536
    pieces, up to 32,768, and "all" nothing. What held-out texts lose is told of the evaluation queries, which have no
    say in what is kept.

    Raises `BadInput` where another value than "auto" asks for what cannot be done: a screener of hashed n-grams, a
    user's own modules, a tokenizer that `prune_tokenizer` does not take.
    """
    pieces = student.shapes.vocabulary
    if keep == "all" or (keep == "auto" and (pieces <= AUTO_ABOVE or not _can_cut(student))):
        return student, {}
    if isinstance(keep, int) and keep >= pieces:
        return student, {}
    if not _can_cut(student):
        name = type(student.screener).__name__
        raise BadInput(
            f"A vocabulary cannot be cut under the screener {name}; leave it whole ([vocabulary] keep = all)."
        )
    labels = student.labels
    texts = [*labels.texts, *(text for each in (*labels.aliases, *labels.descriptions) for text in each)]
    texts += [query.text for query in student.calibration]
    needed = count_pieces(student.tokenizer, with_prompts(student, [*texts, *words])).nonzero()[0]
    most = AUTO_PIECES if keep == "auto" else int(keep) if keep != "labels" else 0
    chosen = _fill(student.tokenizer, needed, most)
    tokenizer, old_ids = prune_tokenizer(student.tokenizer, chosen)
    if len(old_ids) >= pieces:
        return student, {}
    about = {"pieces": len(old_ids), "of": pieces, "needed": len(needed), "words": len(words)}
    judged = [query.text for query in student.evaluation or student.calibration]
    about |= _compare(student.tokenizer, tokenizer, old_ids, with_prompts(student, judged))
    _check_exact(student.tokenizer, tokenizer, old_ids, with_prompts(student, texts))
    cut = dataclasses.replace(
        student,
        screener=_keep_rows(student.screener, old_ids),
        reasoner=_keep_rows(student.reasoner, old_ids),
        tokenizer=tokenizer,
        shapes=dataclasses.replace(student.shapes, vocabulary=len(old_ids)),
        maps={dataclasses.replace(product, rows=len(old_ids)): value for product, value in student.maps.items()},
    )
    return cut, {"vocabulary": about}


def with_prompts(student: Student, texts: Sequence[str]) -> list[str]:
    """Texts as the screener reads them: behind each of the student's prompts, where it has some."""
    known = {student.prompts.query, student.prompts.label}
    return [f"{prompt}{text}" for prompt in sorted(known) for text in texts]


def _can_cut(student: Student) -> bool:
    """Whether the screener has a table of word pieces and nothing else that knows their ids."""
    if isinstance(student.screener, NgramScreener):
        return False
    try:
        kind_of(student.screener).words(student.screener)
    except NotImplementedError:
        return False
    return True


def _fill(tokenizer: Tokenizer, needed: Ints, most: int) -> Ints:
    """The needed ids and, up to `most` in all, the first others: vocabularies are made in the order of frequency."""
    vocabulary = tokenizer.get_vocab(with_added_tokens=False)
    known = set(needed.tolist())
    # BERT's own has a thousand places for pieces that never came
    others = sorted(
        place for piece, place in vocabulary.items() if place not in known and not piece.startswith("[unused")
    )
    return np.array([*needed.tolist(), *others[: max(0, most - len(known))]], np.int64)


def _compare(whole: Tokenizer, small: Tokenizer, old_ids: Ints, texts: Sequence[str]) -> dict[str, Any]:
    """How many of the texts' tokens are not among the kept ones, and how many texts are split otherwise for it."""
    kept = np.zeros(int(max(whole.get_vocab(with_added_tokens=True).values())) + 1, np.bool_)
    kept[old_ids] = True
    tokens = lost = changed = 0
    for encoding in whole.encode_batch_fast(list(texts), add_special_tokens=False):
        gone = int((~kept[np.array(encoding.ids, np.int64)]).sum())
        tokens, lost, changed = tokens + len(encoding.ids), lost + gone, changed + (gone > 0)
    return {"held_out_tokens": tokens, "tokens_lost": lost, "held_out_texts": len(texts), "texts_changed": changed}


def _check_exact(whole: Tokenizer, small: Tokenizer, old_ids: Ints, texts: Sequence[str]) -> None:
    """See that texts whose pieces were all kept have the ids that they had. Raises `BadInput` for a tokenizer that does
    something which `prune_tokenizer` does not know of."""
    for first in range(0, len(texts), 10_000):
        batch = list(texts[first : first + 10_000])
        pairs = (each.encode_batch_fast(batch, add_special_tokens=True) for each in (whole, small))
        for text, before, after in zip(batch, *pairs, strict=True):
            if old_ids[np.array(after.ids, np.int64)].tolist() != before.ids:
                raise BadInput(
                    f"The tokenizer splits {text!r:.60} otherwise when its vocabulary is cut; keep the whole one."
                )


@torch.no_grad()
def _keep_rows(module: nn.Module, old_ids: Ints) -> nn.Module:
    """The module with these rows of all its tables of word pieces; itself where it has none."""
    config: Any = getattr(module, "config", None)
    if not hasattr(config, "vocabulary"):
        return module
    make: Callable[[Any], nn.Module] = type(module)
    cut = make(dataclasses.replace(config, vocabulary=len(old_ids)))
    rows = torch.from_numpy(old_ids)
    state = module.state_dict()
    shapes = {name: value.shape for name, value in cut.state_dict().items()}
    kept = {name: value if value.shape == shapes[name] else value[rows] for name, value in state.items()}
    cut.load_state_dict(kept)
    return cut.train(module.training)
