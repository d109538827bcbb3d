"""Probing a causal language model along its own reasoning: how likely the gold label would be if it answered now.

After each share of a trace's reasoning the model is made to answer, and the log-probability of the gold label's text
is set against that of a near miss and of a random label: focus parts both from the random one, the fall of confusion
parts the right one from the near miss.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgexl.base.errors import BadInput
from edgexl.distill.characterize.bench import Bench
from edgexl.distill.characterize.measures import Bootstrap
from edgexl.distill.teachers import Ints, TraceTeacher
from edgexl.distill.teachers.local_model import LocalModel
from edgexl.distill.teachers.prompt import Questionnaire

# A query costs a forward pass over its whole reasoning and fifteen short ones.
PROBED_QUERIES = 50
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
KINDS = ("gold", "near_miss", "random")
_ANSWER = "\n\nFinal:\n- "


def probe_reasoning(bench: Bench, source: str, device: str | torch.device = "cpu") -> dict[str, Any]:
    """Probe the model `source` along the traces' reasoning. Keys: `model`, `queries`, and `by_share`: a row each share
    with the mean log-probability (nats) of the `gold`, `near_miss` and `random` label's text, each with `_a_token`.

    Raises `BadInput` for a teacher other than traces with a reasoning text, and a model that cannot be opened.
    """
    teacher = bench.teacher
    if not isinstance(teacher, TraceTeacher):
        raise BadInput("Only traces can be probed (--probe); this teacher writes no reasoning, so leave it out.")
    rows = [row for row, text in enumerate(bench.sample.texts) if teacher.traces[text].reasoning][:PROBED_QUERIES]
    if not rows:
        raise BadInput("None of the traces has a reasoning text to probe along; collect traces that keep it.")
    model = LocalModel(source, device)
    prober = _Prober(model, Questionnaire(bench.labels))
    chosen = _contrasts(bench, teacher)
    values = np.full((len(rows), len(SHARES), len(KINDS)), np.nan)
    tokens = np.zeros((len(rows), len(KINDS)), dtype=np.int64)
    for place, row in enumerate(rows):
        text = bench.sample.texts[row]
        labels = [bench.labels.texts[label] for label in chosen[row]]
        values[place], tokens[place] = prober.along(text, teacher.traces[text].reasoning or "", labels)
        bench.progress("probe prefixes of the reasoning", place + 1, len(rows))
    if not np.isfinite(values).all():
        raise BadInput(f"The logits of {model.name} are not finite: its weights are damaged; fetch them again.")
    bootstrap = Bootstrap(len(rows), bench.seed)
    by_share = []
    for place, share in enumerate(SHARES):
        row_of_share: dict[str, Any] = {"share": share}
        for kind, name in enumerate(KINDS):
            row_of_share[name] = float(values[:, place, kind].mean())
            row_of_share[f"{name}_interval"] = bootstrap.interval(values[:, place, kind])
            row_of_share[f"{name}_a_token"] = float((values[:, place, kind] / tokens[:, kind]).mean())
        by_share.append(row_of_share)
    return {"model": model.name, "queries": len(rows), "by_share": by_share}


def _contrasts(bench: Bench, teacher: TraceTeacher) -> Ints:
    """[n,3]: a gold label, a near miss (the first wrong one that came up, or else the most alike), a random one."""
    others = bench.draw(5).integers(0, len(bench.labels), (len(bench.sample), bench.sample.gold.shape[1] + 2))
    chosen = np.empty((len(bench.sample), 3), dtype=np.int64)
    for row, (text, gold) in enumerate(zip(bench.sample.texts, bench.sample.gold.tolist(), strict=True)):
        wrong = [label for label in teacher.traces[text].shortlist if label not in gold]
        wrong += [label for label in bench.neighbours.labels[row].tolist() if label >= 0]
        strangers = [label for label in others[row].tolist() if label not in (*gold, *wrong[:1])]
        stranger = strangers[0] if strangers else int(others[row, 0])
        chosen[row] = gold[0], wrong[0] if wrong else stranger, stranger
    return chosen


@dataclass
class _Prober:
    """Queries a model as the collector of traces does, and reads the probability of answers that it did not give."""

    model: LocalModel
    questionnaire: Questionnaire

    @torch.inference_mode()
    def along(self, text: str, reasoning: str, labels: list[str]) -> tuple[Any, list[int]]:
        """([shares, labels] log-probabilities, each label's tokens); the reasoning is read once, with its cache."""
        prompt = self._ids(self.model.prompt(self.questionnaire.messages(text)))
        thought = self._ids(reasoning)
        answer = self._ids(_ANSWER)
        endings = [self._ids(label) for label in labels]
        cuts = [round(share * thought.shape[1]) for share in SHARES]
        found = np.empty((len(SHARES), len(labels)))
        cache, read = None, 0
        for place, cut in enumerate(cuts):
            fresh = (
                torch.cat([prompt, thought[:, :cut]], dim=1)[:, read:]
                if read
                else torch.cat([prompt, thought[:, :cut]], dim=1)
            )
            if fresh.shape[1]:
                cache = self.model.model(input_ids=fresh, past_key_values=cache, use_cache=True).past_key_values
                read += fresh.shape[1]
            for column, ending in enumerate(endings):
                found[place, column] = self._log_probability(cache, answer, ending)
        return found, [ending.shape[1] for ending in endings]

    def _log_probability(self, cache: Any, answer: Tensor, ending: Tensor) -> float:
        """ln P(ending | what the cache holds, answer)."""
        ids = torch.cat([answer, ending], dim=1)
        # the model writes into the cache that it is given
        logits = self.model.model(input_ids=ids, past_key_values=copy.deepcopy(cache), use_cache=True).logits
        shares = logits[0, answer.shape[1] - 1 : -1].float().log_softmax(-1)
        return float(shares.gather(1, ending[0].unsqueeze(1)).sum())

    def _ids(self, text: str) -> Tensor:
        ids: Tensor = self.model.tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
        return ids.to(self.model.device)
