"""What the lexical side weighs best, by label sets that nothing was trained on.

    python -m benchmarks.lexical_weight DATA [DATA ...] [--encoder all-MiniLM-L6-v2] [--dims 256] [--queries 500]
                                        [--drawn 200]

Each DATA is a data set's directory, of whose test queries the first are taken. An encoder, untrained, screens them
with the lexical side at many weights (`WordsWeight`): none, the compiler's own, which it takes where it has no queries
(`edgexl/compiler/passes/index_words.py`), and others drawn by a seed. P@1, R@10 and R@100 are printed, then the weights
that leave least of the best figures: the square of what is lost in the mean of P@1 and the mean of both recalls, on
average over the sets.
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
from edgexl.compiler.passes.index_words import MOST, USUAL, WordsWeight
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

# As much as P@1 counts in the mean, and each recall.
SHARES = (0.5, 0.25, 0.25)
GIVEN = (WordsWeight(), USUAL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--encoder", default="all-MiniLM-L6-v2")
    parser.add_argument("--dims", type=int, default=256)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--drawn", type=int, default=200)
    options = parser.parse_args()
    weights = draw_weights(options.drawn)
    figures = np.zeros((len(options.data), len(weights), len(FIGURES)))
    for row, directory in enumerate(options.data):
        figures[row] = judge_weights(open_dataset(directory), options.encoder, options.dims, options.queries, weights)
        print(f"\n{directory.name:48}" + "".join(f"{name:>8}" for name in FIGURES))
        for weight, found in list(zip(weights, figures[row], strict=True))[: len(GIVEN)]:
            print(f"{tell(weight):48}" + "".join(f"{value:8.2f}" for value in found))
    means = figures @ np.array(SHARES)
    lost = ((means.max(1, keepdims=True) - means) ** 2).mean(0)
    print(f"\n{'square of the points lost, on average':48}")
    for place in [*range(len(GIVEN)), *np.argsort(lost)[:8].tolist()]:
        print(f"{tell(weights[place]):48}{lost[place]:8.2f}")


def draw_weights(count: int, seed: int = 1) -> list[WordsWeight]:
    """Those that are given, and `count` more."""
    rng = np.random.default_rng(seed)
    limits = ((-0.3, 0.3), (0.0, 6.0), (0.0, 5.0), (-1.2, 0.0))
    drawn = [WordsWeight(*(round(float(rng.uniform(*limit)), 2) for limit in limits)) for _ in range(count)]
    return [*GIVEN, *drawn]


def tell(weight: WordsWeight) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in dataclasses.asdict(weight).items())


def judge_weights(data: Dataset, encoder: str, dims: int, count: int, weights: list[WordsWeight]) -> Doubles:
    """[weights, 3] in percent: what screening reaches with each."""
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
    weighings = [dataclasses.replace(index.weighing, lexical_weight=weight.features) for weight in weights]
    judged = judge_weighings(index, weighings, vectors, queries, 1)
    return np.array([100 * figures.mean(0) for figures in judged])


if __name__ == "__main__":
    main()
