"""How likely a label is before anything is asked: by its word pieces, as often as training asks for them.

People who describe a word mostly mean a plain one, while a dictionary's definitions ask for all words alike. The
likelihood of a label's text by a unigram model of word pieces ranks "umbrella" before "gamp" and both before
"parasol tree", needs a number a piece and none a label, and knows labels that are added later.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from edgexl.base.arrays import Floats, Ints


def weigh_pieces(pieces: Ints, asked: Ints, vocabulary: int, weight: float) -> Tensor:
    """[vocabulary, 1], float32: `weight` times the logarithm of each word piece's share, 0 for [PAD].

    `pieces` [labels, S]: those of the label texts, padded with 0. `asked` [labels]: how many training queries each
    label is gold for. Every piece is taken for met once more than it was.
    """
    counts = np.zeros(vocabulary)
    np.add.at(counts, pieces, np.broadcast_to(asked[:, None], pieces.shape).astype(np.float64))
    counts[0] = 0
    likelihood = np.log((counts + 1) / (counts.sum() + vocabulary))
    likelihood[0] = 0
    return torch.from_numpy(weight * likelihood).float().unsqueeze(1)


def weigh_labels(table: Tensor, pieces: Ints) -> Floats:
    """[labels], float32: what a prior's `table` [vocabulary, 1] says of labels of these word `pieces` [labels, S],
    padded with 0."""
    return np.asarray(table.detach().numpy()[:, 0][pieces].sum(1), np.float32)
