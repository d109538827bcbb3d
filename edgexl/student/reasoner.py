"""The built-in reasoners: listwise models over the shortlist, one logit a label.

`ListwiseReasoner` is a set transformer that sees all labels of the shortlist at once, the query's token states, and
the label texts by late interaction. `ScreeningReasoner` repeats screening's order, for students with one stage.
Neither has a bias or a feature of its own for any label: all they know of a label is its vector, text and scores.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from edgexl.student.layers import MASKED, ListLayer, padding_bias

# Screening scores are cosines, and near misses differ in the second decimal: about the screener's 1 / temperature.
SCORE_SCALE = 20.0
# Lexical scores lie in 0 to 1, and near misses differ in the first decimal.
LEXICAL_SCALE = 4.0
# What counts directly in a logit is learned in so much larger steps than what goes through the layers: shares of 0 to 1
# weigh tens.
DIRECT_SCALE = 40.0


@dataclass(frozen=True)
class ReasonerConfig:
    """Shapes of a `ListwiseReasoner`.

    `query_dims`, `state_dims` and `vocabulary` are the screener's. `dims` is the width a label has inside, `token_dims`
    the width of a word piece in late interaction. Token ids below `first_word_id` are special or unused and never
    count as shared by query and label. The first `cross_layers` of the layers attend to the query's tokens; late
    interaction tells the rest of what is there.

    `coverage` tells each label what share of the query, by a learned weight a token, stands in it word for word.
    `absence` puts logits on a scale of their own on which 0 is "none of these", instead of a merely relative one.
    `evidence` has it see all five columns of the input of that name, instead of `screening_scores`.
    `residual` has it correct screening, whose score counts `screening_weight` times in a label's logit beside what the
    graph gives (`edgexl.student.contract`): untrained, it leaves screening's order as it is.
    `letters` above 0 has it compare spelling, too, by a table of so many columns (`edgexl.student.letters`): which of
    the query's letters a label lacks, and which of the label's the query lacks. These, the kinds of evidence and what
    query and label share count directly in a logit, besides what the layers make of them.
    `prior` has labels that are likely whatever the query says come first: a number for each word piece, which count
    together in a logit, by how far they are above the shortlist's mean (`edgexl.student.prior`). It is no part of
    training.
    """

    vocabulary: int
    query_dims: int
    state_dims: int
    dims: int
    ffn_dims: int
    heads: int
    layers: int
    token_dims: int
    cross_layers: int = 1
    first_word_id: int = 999
    dropout: float = 0.0
    coverage: bool = False
    absence: bool = False
    # an older edgexl reads the student.json of students without these
    evidence: bool = field(default=False, metadata={"unsaid": False})
    residual: bool = field(default=False, metadata={"unsaid": False})
    letters: int = field(default=0, metadata={"unsaid": 0})
    prior: bool = field(default=False, metadata={"unsaid": False})

    def __post_init__(self) -> None:
        sizes = (
            self.vocabulary,
            self.query_dims,
            self.state_dims,
            self.dims,
            self.ffn_dims,
            self.heads,
            self.token_dims,
        )
        if min(sizes) < 1 or self.layers < 1:
            raise ValueError("a reasoner's sizes must be positive")
        if self.letters < 0 or (self.letters and not (self.evidence and self.coverage)):
            raise ValueError("letters must be 0 or more, and need evidence and coverage")
        if self.dims % self.heads:
            raise ValueError(f"dims ({self.dims}) must be a multiple of heads ({self.heads})")


class LabelText(nn.Module):
    """Late interaction: each word piece of a label meets each token of the query; a label gets their mean.

    A word piece brings its own small vector, what it attends to among the query's tokens, its best match there, and
    whether the very same piece stands in the query. The last two are scalars that enter by broadcast multiplication,
    not by a matrix product, so that no quantiser rounds them.

    All of it is `token_dims` wide: N * S rows pass through here, and at the reasoner's own width they took more of a
    device's time than both layers together.
    """

    def __init__(self, config: ReasonerConfig) -> None:
        super().__init__()
        self.first_word_id = config.first_word_id
        self.tokens = nn.Embedding(config.vocabulary, config.token_dims)
        self.match = nn.Linear(config.state_dims, config.token_dims)
        self.met = nn.Linear(config.state_dims, config.token_dims)
        self.best_weight = nn.Parameter(torch.randn(config.token_dims) * 0.1)
        self.same_weight = nn.Parameter(torch.randn(config.token_dims) * 0.1)
        self.output = nn.Linear(config.token_dims, config.dims)
        self.coverage = config.coverage
        if config.coverage:
            self.importance = nn.Linear(config.state_dims, 1)
            self.coverage_weight = nn.Parameter(torch.randn(config.dims) * 0.1)
        nn.init.normal_(self.tokens.weight, std=1.0 / math.sqrt(config.token_dims))

    def forward(
        self, label_tokens: Tensor, token_states: Tensor, input_ids: Tensor, attention_mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """label_tokens [B,N,S], token_states [B,T,h], input_ids and attention_mask [B,T] -> [B,N,dims], and [B,N,1]
        each the share of the label's pieces that stand in the query, and of the query's weight that stands in the
        label (None without coverage)."""
        pieces = self.tokens(label_tokens)  # [B,N,S,e]
        flat = pieces.flatten(1, 2)  # [B,N*S,e]
        scores = torch.matmul(flat, self.match(token_states).transpose(1, 2)) + padding_bias(attention_mask)[:, 0]
        attended = torch.matmul(scores.softmax(-1), self.met(token_states)).view_as(pieces)
        best = scores.amax(-1).view_as(label_tokens).clamp_min(MASKED)
        words = torch.where((attention_mask > 0) & (input_ids >= self.first_word_id), input_ids, -1)
        pairs = label_tokens.unsqueeze(-1) == words[:, None, None, :]  # [B,N,S,T]
        same = pairs.any(-1).to(best.dtype)
        x = pieces + attended + best.unsqueeze(-1) * self.best_weight + same.unsqueeze(-1) * self.same_weight
        held = (label_tokens != 0).to(x.dtype)
        share = held / held.sum(2, keepdim=True).clamp_min(1.0)  # [B,N,S], sums to 1 over a label's pieces
        out: Tensor = self.output((x.relu() * share.unsqueeze(-1)).sum(2))
        met: Tensor | None = None
        if self.coverage:
            importance = self.importance(token_states).squeeze(-1).to(torch.float32) + MASKED * (words < 0)
            covered = (pairs.any(2).to(torch.float32) * importance.softmax(-1).unsqueeze(1)).sum(-1)  # [B,N]
            met = covered.unsqueeze(-1)
            out = out + met * self.coverage_weight
        return out, (same * share).sum(2, keepdim=True), met


class ListwiseReasoner(nn.Module):
    """A set transformer over the shortlist: permuting the labels permutes the logits and nothing else."""

    input_names: tuple[str, ...] = (
        "input_ids", "attention_mask", "token_states", "query_vector",
        "label_vectors", "screening_scores", "label_tokens",
    )  # fmt: skip

    def __init__(self, config: ReasonerConfig) -> None:
        super().__init__()
        self.config = config
        self.states = nn.Linear(config.state_dims, config.dims)
        self.label = nn.Linear(config.query_dims, config.dims)
        self.agreement = nn.Linear(config.query_dims, config.dims)
        self.query = nn.Linear(config.query_dims, config.dims)
        self.text = LabelText(config)
        self.score_weight = nn.Parameter(torch.randn(4, config.dims) * 0.1)
        self.layers = nn.ModuleList(
            ListLayer(config.dims, config.ffn_dims, config.heads, config.dropout, cross=layer < config.cross_layers)
            for layer in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.dims)
        self.verdict = nn.Parameter(torch.zeros(config.dims))
        if config.residual:
            self.screening_weight = nn.Parameter(torch.tensor(SCORE_SCALE))
        else:
            self.trust = nn.Parameter(torch.tensor(1.0))
        if config.absence:
            self.level = nn.Parameter(torch.tensor(0.0))
        if config.evidence:
            self.input_names = tuple(
                "evidence" if name == "screening_scores" else name for name in ListwiseReasoner.input_names
            )
            self.evidence_weight = nn.Parameter(torch.randn(5, config.dims) * 0.1)
        if config.letters:
            self.letters = nn.Embedding(config.vocabulary, config.letters)
            self.letters.weight.requires_grad_(False)
            self.lacked = nn.Parameter(torch.zeros(config.letters))
            self.left = nn.Parameter(torch.zeros(config.letters))
            self.spelling_weight = nn.Parameter(torch.randn(2, config.dims) * 0.01)
            self.direct = nn.Parameter(torch.zeros(8))
        if config.prior:
            self.set_prior(torch.zeros(config.vocabulary, 1))

    def set_prior(self, pieces: Tensor) -> None:
        """Have the word pieces of labels count so much [vocabulary, 1] in their logits."""
        self.config = replace(self.config, prior=True)
        self.prior = nn.Embedding(*pieces.shape)
        self.prior.weight = nn.Parameter(pieces.to(self.verdict), requires_grad=False)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_states: Tensor,
        query_vector: Tensor,
        label_vectors: Tensor,
        label_tokens: Tensor,
        screening_scores: Tensor | None = None,
        evidence: Tensor | None = None,
    ) -> Tensor:
        """Shapes as in the graph contract ([B,T], [B,T], [B,T,h], [B,d], [B,N,d], [B,N,S], and [B,N,2] or [B,N,5]) ->
        logits [B,N], of a residual reasoner what corrects screening."""
        states = self.states(token_states)
        width = math.sqrt(query_vector.shape[-1])
        query = query_vector.unsqueeze(1)
        x = self.label(label_vectors * width) + self.agreement(label_vectors * query * width * width)
        x = x + self.query(query * width)
        text, same, covered = self.text(label_tokens, token_states, input_ids, attention_mask)
        x = x + text
        scores = screening_scores if evidence is None else evidence[..., :3]
        assert scores is not None  # one of the two is among `input_names`
        own = scores[..., :1] * SCORE_SCALE
        best = scores.amax(-1, keepdim=True) * SCORE_SCALE
        relative = best - best.mean(1, keepdim=True)
        behind = best - best.amax(1, keepdim=True)
        for scalar, weight in zip((own * 0.1, best * 0.1, relative, behind), self.score_weight, strict=True):
            x = x + scalar * weight
        direct: Tensor | None = None
        if evidence is not None:
            kinds = self._tell_kinds(evidence, own, best)
            for scalar, weight in zip(kinds, self.evidence_weight, strict=True):
                x = x + scalar * weight
            if self.config.letters:
                assert covered is not None
                lacked, left = self._spell(label_tokens, input_ids, attention_mask)
                for letters, weight in zip((lacked, left), self.spelling_weight, strict=True):
                    x = x + letters.sum(-1, keepdim=True) * weight
                direct = (lacked * self.lacked).sum(-1) + (left * self.left).sum(-1)
                for place, scalar in enumerate((relative * 0.1, *kinds, same, covered)):
                    direct = direct + scalar.squeeze(-1) * self.direct[place]
        bias = padding_bias(attention_mask)
        for layer in self.layers:
            x = layer(x, states, bias)
        logits: Tensor = (self.norm(x) * self.verdict).sum(-1)
        if direct is not None:
            logits = logits + direct * DIRECT_SCALE
        if self.config.residual:
            # with the screening score added, 0 stands for the best vector's
            logits = logits - self.screening_weight / SCORE_SCALE * best.amax(1)
        else:
            logits = logits + self.trust * behind.squeeze(-1)
        if self.config.absence:
            logits = logits + self.level
        if self.config.prior:
            prior = self.prior(label_tokens).sum(2).squeeze(-1)
            logits = logits + (prior - prior.mean(1, keepdim=True))
        return logits.to(torch.float32)

    def _spell(self, label_tokens: Tensor, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """[B,N,letters] each: how many of each letter the label lacks of the query's, and the query of the label's."""
        words = ((attention_mask > 0) & (input_ids >= self.config.first_word_id)).to(self.lacked.dtype)
        asked = (self.letters(input_ids) * words.unsqueeze(-1)).sum(1).unsqueeze(1)
        held = self.letters(label_tokens).sum(2)  # of [PAD] there are none
        return (asked - held).relu(), (held - asked).relu()

    def _tell_kinds(self, evidence: Tensor, own: Tensor, best: Tensor) -> tuple[Tensor, ...]:
        """What each kind of evidence says beyond the others, five times [B,N,1]: 0 where there is none of it."""
        named = evidence[..., :2].amax(-1, keepdim=True) * SCORE_SCALE
        alias, description, votes = (evidence[..., place : place + 1] * SCORE_SCALE for place in (1, 2, 3))
        lexical = evidence[..., 4:] * LEXICAL_SCALE
        return alias - own, description - named, votes - best, lexical, lexical - lexical.amax(1, keepdim=True)


class ScreeningReasoner(nn.Module):
    """The reasoner of a student without one: logits are the best screening scores, so the order stays as it is."""

    input_names = ("screening_scores",)

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(SCORE_SCALE))

    def forward(self, screening_scores: Tensor) -> Tensor:
        """screening_scores [B,N,2] -> logits [B,N]."""
        return screening_scores.amax(-1) * self.scale
