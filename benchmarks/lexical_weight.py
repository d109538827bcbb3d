"""What the lexical side weighs best, by label sets that nothing was trained on.

    python -m benchmarks.lexical_weight DATA [DATA ...] [--encoder all-MiniLM-L6-v2] [--dims 256] [--queries 500]

Each DATA is a data set's directory, of whose test queries the first are taken. An encoder, untrained, screens them
with the lexical side at each pair of weights: `base` of every query, and `slope` times its share of misspelt words.
P@1, R@10 and R@100 are printed for each, then the pairs by how much they leave of the best figures, on average over
the sets. The compiler's own weights, where it has no queries, stand in `edgexl/compiler/passes/index_words.py`.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
from pathlib import Path

import numpy as np

from edgexl.base.arrays import Doubles
from edgexl.compiler.encoding.workers import LocalWorkers
from edgexl.compiler.measure.weighing import FIGURES, judge_weighings, turn_queries
from edgexl.compiler.passes.build_index import BuildIndex
from edgexl.compiler.passes.encode import Encode
from edgexl.compiler.passes.export import Export
from edgexl.compiler.passes.index_words import MOST, weight_of
from edgexl.compiler.passes.quantize import Quantize
from edgexl.compiler.pipeline import begin
from edgexl.compiler.recipe import CalibrateRecipe, GateRecipe, load_recipe
from edgexl.data import Dataset, open_dataset
from edgexl.index.lexical import build_lexical
from edgexl.student.contract import Shapes
from edgexl.student.importer import import_sentence_transformer
from edgexl.student.reasoner import ScreeningReasoner
from edgexl.student.student import Student
from edgexl.target import load_target

BASES, SLOPES = (0.0, 0.1, 0.15, 0.25, 0.4, 0.6, 1.0, 2.0), (0.0, 2.0, 4.4, 8.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--encoder", default="all-MiniLM-L6-v2")
    parser.add_argument("--dims", type=int, default=256)
    parser.add_argument("--queries", type=int, default=500)
    options = parser.parse_args()
    pairs = list(itertools.product(BASES, SLOPES))
    kept = np.zeros((len(options.data), len(pairs), len(FIGURES)))
    for row, directory in enumerate(options.data):
        kept[row] = judge_pairs(open_dataset(directory), options.encoder, options.dims, options.queries, pairs)
        print(f"\n{directory.name:20}{'base':>6}{'slope':>7}" + "".join(f"{name:>8}" for name in FIGURES))
        for pair, figures in zip(pairs, kept[row], strict=True):
            print(f"{'':20}{pair[0]:6.2f}{pair[1]:7.1f}" + "".join(f"{value:8.2f}" for value in figures))
    lost = (kept.max(1, keepdims=True) - kept).mean((0, 2))
    print(f"\n{'points lost of the best, on average':36}")
    for place in np.argsort(lost)[:8]:
        print(f"{'':20}{pairs[place][0]:6.2f}{pairs[place][1]:7.1f}{lost[place]:8.2f}")


def judge_pairs(data: Dataset, encoder: str, dims: int, count: int, pairs: list[tuple[float, float]]) -> Doubles:
    """[pairs, 3] in percent: what screening reaches with each pair of weights."""
    imported = import_sentence_transformer(encoder, dims=dims, labels=data.labels)
    config = imported.screener.config
    student = Student.from_modules(
        screener=imported.screener,
        reasoner=ScreeningReasoner(),
        tokenizer=imported.tokenizer,
        labels=data.labels,
        shapes=Shapes(config.max_tokens, dims, config.state_dims, 128, 8, config.vocabulary),
    )
    recipe = dataclasses.replace(load_recipe("balanced"), calibrate=CalibrateRecipe("none"), gates=GateRecipe())
    artifact = begin(student, recipe, load_target("host"))
    quantize = Quantize(recipe, artifact.target)
    for step in (Export(), Encode(recipe.index, quantize, LocalWorkers(1)), BuildIndex(recipe.index)):
        artifact = step.run(artifact)
    queries = tuple(itertools.islice((query for query in data.queries("tst") if query.has_text), count))
    vectors = turn_queries(artifact, queries)
    lexical = build_lexical(artifact.rows.texts(data.labels), bytes_a_row=recipe.index.lexical_bytes)
    index = dataclasses.replace(
        artifact.index,
        lexical=lexical,
        lexical_candidates=recipe.index.lexical_candidates,
        weighing=dataclasses.replace(artifact.index.weighing, lexical_most=MOST),
    )
    weighings = [dataclasses.replace(index.weighing, lexical_weight=weight_of(*pair)) for pair in pairs]
    judged = judge_weighings(index, weighings, vectors, queries, 1)
    return np.array([100 * figures.mean(0) for figures in judged])


if __name__ == "__main__":
    main()
