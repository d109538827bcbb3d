"""What stage two trains on."""

from __future__ import annotations

import numpy as np
import torch

from edgexl.distill.stages.reasoning import Shortlists, only_often
from edgexl.student.tokens import TokenTable


def test_only_queries_for_labels_that_are_often_asked_for_keep_their_gold_labels() -> None:
    labels = torch.tensor([[0, 1, 2], [1, 2, 3], [3, 0, 1], [2, 3, 0]])
    gold = torch.tensor([[True, True, False], [False, True, False], [True, False, False], [False, False, False]])
    tokens = TokenTable.of([[1], [2], [3], [4]], torch.device("cpu"))
    lists = Shortlists(tokens, torch.zeros(4, 2), labels, None, gold)
    found = only_often(lists, np.array([5, 1, 2, 4]), 4)
    assert found.gold.tolist() == [[True, True, False], [False] * 3, [True, False, False], [False] * 3]
    assert lists.gold is gold
