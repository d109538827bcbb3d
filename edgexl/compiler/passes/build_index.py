"""Build the index: vectors become coarse and fine codes, and the graphs learn to speak the index's space."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgexl.base.arrays import Floats, Ints
from edgexl.base.ragged import Ragged
from edgexl.compiler.artifact import Artifact, Graphs
from edgexl.compiler.base import Base
from edgexl.compiler.encoding.encode import encode_queries, encode_rows
from edgexl.compiler.graphs.rotate import rotate_output, unrotate_input
from edgexl.compiler.measure.probing import QUERIES, fit_probing
from edgexl.compiler.measure.weighing import FEWEST_QUERIES, figures_of, gains, judge_weighings, turn_queries
from edgexl.compiler.measure.weighing import QUERIES as FIT_QUERIES
from edgexl.compiler.passes.declaration import Pass
from edgexl.compiler.recipe import IndexRecipe
from edgexl.data import Query
from edgexl.index import LabelIndex, cell_count, coarse_code, fit_codes, make_cells
from edgexl.index.choice import SAMPLE_QUERIES, CoarseCode
from edgexl.index.rows import Rows
from edgexl.index.stream import coarse_pieces, fine_pieces
from edgexl.student.text import word_texts

# With what stands in for others: 128 for each entry of a code book, and enough for the moments of several hundred
# dimensions.
LEAST_LEARNT_FROM = 2048
# What votes weigh where labels are described, and what else is tried where held-out queries can tell.
VOTES, VOTES_TRIED = 0.25, (0.0, 0.25, 0.5, 1.0)


def usual_votes(rows: Rows) -> float:
    """What votes weigh where no held-out queries can tell: as much as is best for people's descriptions of words
    (benchmarks/descriptions.py), where labels are described."""
    return VOTES if rows.joined and rows.descriptions else 0.0


@dataclass(frozen=True)
class BuildIndex(Pass):
    """What the recipe says of the index; `base`: an older bundle, whose space and codes are kept where they can be."""

    index: IndexRecipe
    threads: int = 1
    base: Base | None = None

    name = "build_index"
    needs = ("graphs", "vectors")
    adds = ("index",)
    measured = True

    def run(self, artifact: Artifact) -> Artifact:
        """Adds `index` and `rotation`, turns `vectors`, and puts the rotation into the graphs. Raises `BadInput` when
        the recipe's sizes do not fit the student's."""
        recipe, dims = self.index, artifact.vectors.shape[1]
        fine_dims = recipe.fine_dims_of(dims)
        vectors, graphs = artifact.vectors, artifact.graphs
        count = cell_count(recipe.cells, len(vectors))
        calibration, base = artifact.student.calibration, self.base
        if base is not None and not base.fits(artifact):
            return self._build_anew(artifact, base)
        known = vectors if base is None else base.vectors(artifact, self.threads)
        learnt, facts = self._choose_learning_vectors(artifact, known)
        if base is None:
            coarse, tried = self._choose_coarse(artifact, learnt, fine_dims)
        else:
            coarse, tried = base.code, []
        fitted = fit_codes(learnt, coarse, recipe.rotation, recipe.code_bytes, fine_dims, recipe.seed)
        turned = fitted.turned[: len(vectors)]
        if base is not None:
            if not base.has(fitted.codebook, fitted.gain.factor):
                return self._build_anew(artifact, base)
            turned = vectors if fitted.rotation is None else vectors @ fitted.rotation
            facts |= base.as_facts(kept=True)
        if fitted.rotation is not None:
            graphs = rotate_graphs(graphs, fitted.rotation)
        aliases = artifact.rows.alias_labels
        cells = make_cells(turned, count, fine_dims, recipe.seed, self.threads) if count else None
        index = LabelIndex(
            codebook=fitted.codebook,
            coarse=b"".join(coarse_pieces(turned, fitted.codebook, cells, self.threads)),
            fine=b"".join(fine_pieces(turned, fine_dims, recipe.fine_bits, fitted.gain, self.threads)),
            labels=artifact.rows.labels,
            dims=dims,
            fine_dims=fine_dims,
            fine_bits=recipe.fine_bits,
            overfetch=max(recipe.overfetch, artifact.shapes.shortlist),
            shortlist=artifact.shapes.shortlist,
            row_starts=aliases.starts.astype(np.uint32),
            row_labels=aliases.values.astype(np.uint32),
            fine_gain=fitted.gain.factor,
            cells=cells,
            descriptions=artifact.rows.descriptions,
        )
        if base is not None:
            index = base.keep_codes(index, artifact.student.labels)
        facts = artifact.facts | facts | {"coarse": [dataclasses.asdict(code) for code in tried]}
        if cells is not None:
            held_out, _ = self._encode_queries(artifact, calibration[:QUERIES])
            if not len(held_out):  # the labels themselves stand in
                held_out = vectors[:: max(1, len(vectors) // QUERIES)]
            held_out = held_out if fitted.rotation is None else held_out @ fitted.rotation
            index, facts["cells"] = fit_probing(index, held_out, recipe.cell_recall, self.threads)
        made = dataclasses.replace(
            artifact, vectors=turned, graphs=graphs, rotation=fitted.rotation, index=index, facts=facts
        )
        return self._weigh_votes(made) if len(aliases) else made

    def _build_anew(self, artifact: Artifact, base: Base) -> Artifact:
        """The index as it would be without the base."""
        artifact = dataclasses.replace(artifact, facts=artifact.facts | base.as_facts(kept=False))
        return dataclasses.replace(self, base=None).run(artifact)

    def _choose_coarse(self, artifact: Artifact, learnt: Floats, fine_dims: int) -> tuple[CoarseCode, list[CoarseCode]]:
        """The coarse code, and what was tried."""
        recipe, calibration = self.index, artifact.student.calibration
        queries, gold = self._encode_queries(artifact, calibration[:SAMPLE_QUERIES] if recipe.coarse == "auto" else ())
        return coarse_code(
            learnt,
            queries,
            gold,
            recipe.rotation,
            recipe.coarse,
            recipe.coarse_dims,
            recipe.code_bytes,
            fine_dims,
            artifact.shapes.shortlist,
            recipe.seed,
            self.threads,
        )

    def _weigh_votes(self, artifact: Artifact) -> Artifact:
        """What the votes of a label's other rows weigh: by held-out queries where these can tell."""
        usual = usual_votes(artifact.rows)
        queries = artifact.student.calibration[:FIT_QUERIES]
        facts: dict[str, Any] = {"weight": usual}
        if len(queries) >= FEWEST_QUERIES and artifact.can_judge_descriptions(queries):
            weighings = [
                dataclasses.replace(artifact.index.weighing, votes_weight=weight)
                for weight in (usual, *(weight for weight in VOTES_TRIED if weight != usual))
            ]
            vectors = turn_queries(artifact, queries)
            judged = judge_weighings(artifact.index, weighings, vectors, queries, self.threads)
            best = max(range(len(judged)), key=lambda at: judged[at].mean())
            chosen = best if gains(judged[best], judged[0]) else 0
            facts = {"weight": weighings[chosen].votes_weight, "queries": len(queries)}
            facts |= {"usual": figures_of(judged[0]), "chosen": figures_of(judged[chosen])}
        weighing = dataclasses.replace(artifact.index.weighing, votes_weight=facts["weight"])
        index = dataclasses.replace(artifact.index, weighing=weighing)
        return dataclasses.replace(artifact, index=index, facts=artifact.facts | {"votes": facts})

    def _choose_learning_vectors(self, artifact: Artifact, vectors: Floats) -> tuple[Floats, dict[str, Any]]:
        """The vectors that rotation and code book are fitted to, `vectors` of rows first, and what the manifest says of
        them.

        A small set does not show what a label added later looks like: texts of the vocabulary's words stand in for
        those to come.
        """
        graphs = artifact.graphs
        missing = LEAST_LEARNT_FROM - len(vectors)
        if not artifact.is_small or missing <= 0:
            return vectors, {}
        texts = word_texts(artifact.student.tokenizer, missing, artifact.shapes.max_tokens, self.index.seed)
        stand_ins = encode_rows(graphs.label_encoder, Ragged.of(texts, np.int32), True, 1)
        facts = {"learnt_from": {"rows": len(vectors), "texts_of_vocabulary_words": len(stand_ins)}}
        return np.concatenate([vectors, stand_ins]), facts

    def _encode_queries(self, artifact: Artifact, held_out: tuple[Query, ...]) -> tuple[Floats, list[Ints]]:
        """The queries' vectors [Q, D], and the gold labels of each."""
        if not held_out:
            return np.empty((0, artifact.shapes.query_dims), np.float32), []
        queries = encode_queries(artifact, held_out)
        return queries, [np.array(query.targets, np.int64) for query in held_out]


def rotate_graphs(graphs: Graphs, rotation: Floats) -> Graphs:
    """Both graphs, float ones, speaking the index's space."""
    reasoner = graphs.reasoner
    for name in ("query_vector", "label_vectors"):
        reasoner = unrotate_input(reasoner, name, rotation)
    return dataclasses.replace(
        graphs, screener=rotate_output(graphs.screener, "query_vector", rotation), reasoner=reasoner
    )
