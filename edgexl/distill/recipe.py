"""The distillation recipe: which data, which teacher, what shapes, and how long each stage trains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from edgexl.base import toml
from edgexl.base.errors import BadInput
from edgexl.base.shipped import find_toml
from edgexl.data.damage import Damage
from edgexl.student.screeners import kind_named
from edgexl.student.screeners.shape import ShapeTable

if TYPE_CHECKING:
    from edgexl.distill.characterize.recommendation import Recommendation

# Each is one more candidate a query in every pool: beyond these, the pool costs more than the misses teach.
MOST_HARD_LABELS = 4


def choose_shape(student: dict[str, Any]) -> type[ShapeTable]:
    """What [student] is read as: the sizes that its kind of screener has. Raises `ValueError` where there is no such
    kind."""
    return kind_named(str(student.get("screener", "transformer"))).shape


@dataclass(frozen=True)
class FilesTable:
    """[data]: a file of `labels` and one of past `queries`, by paths from the recipe's own place, as
    `edgexl.data.tables` reads them. The other keys say which column is what, and which `language` of a thesaurus is
    taken; what is left out is guessed."""

    labels: str
    queries: str
    id: str | None = None
    text: str | None = None
    aliases: tuple[str, ...] = ()
    descriptions: tuple[str, ...] = ()
    language: str | None = None
    query_text: str | None = None
    query_labels: tuple[str, ...] = ()

    def moved(self, move: Callable[[str], str]) -> FilesTable:
        """The same with other paths."""
        return replace(self, labels=move(self.labels), queries=move(self.queries))


@dataclass(frozen=True)
class SplitTable:
    """[split]: how the training queries are divided, by hash, so that the division never changes.

    `reasoning_share` of them train the reasoner and are kept from the screener, so that the reasoner meets shortlists
    as bad as the device's. `calibration` queries and `development` queries are kept from both; of files, `evaluation`
    queries, too, where a data set has its test split. `screening_queries` limits those that train the screener, for
    comparisons that would take too long otherwise; 0 takes all. Queries that hold the text of one of their labels are
    not among the held-out ones, unless `judge_named`.
    """

    reasoning_share: float = 0.2
    screening_queries: int = 0
    calibration: int = 2000
    development: int = 2000
    evaluation: int = 2000
    judge_named: bool = False

    def __post_init__(self) -> None:
        if not 0.0 < self.reasoning_share < 1.0:
            raise ValueError("reasoning_share must lie between 0 and 1")
        if self.screening_queries < 0:
            raise ValueError("screening_queries must not be negative")
        if min(self.calibration, self.development, self.evaluation) < 1:
            raise ValueError("calibration, development and evaluation need at least one query each")


@dataclass(frozen=True)
class ScreeningTable:
    """[screening]: softmax over a pool of candidates, `teacher_weight` x (1 - cosine to the teacher's vectors), and
    `ranking_weight` x KL to the teacher's own softmax over the pool; 0 `steps` leave the screener as it starts.

    The pool of a batch holds its gold rows, `random_labels` others, and `hard_labels` a query that the student itself
    mistook for gold ones, mined at the shares `mine_at` of the steps for at most `mine_queries` queries. Each step
    hides `token_dropout` of a query's tokens, or of its n-grams, against learning queries by heart. `frozen_layers`
    above 0 leaves a transformer's word table and that many of its layers as they were, which also trains faster.
    `naming_queries` made from as many label texts (`edgexl.data.naming`) train beside the data set's. With
    `descriptions` those are rows of the pool, too, as an index has them; a query never meets its own text.
    With a label tower, `teacher_weight` is for queries alone, which are to meet the tower's own vectors of them, and
    `live_weight` x (1 - cosine to the tower's vectors) draws the screener's own vectors of rows near, for those are the
    ones of labels that a device adds.
    """

    steps: int
    batch: int = 512
    random_labels: int = 512
    hard_labels: int = 0
    mine_at: tuple[float, ...] = (0.4,)
    mine_queries: int = 50_000
    naming_queries: int = 0
    learning_rate: float = 4e-4
    warmup: float = 0.06
    temperature: float = 0.05
    teacher_weight: float = 2.0
    ranking_weight: float = 0.0
    ranking_temperature: float = 0.05
    live_weight: float = 0.5
    token_dropout: float = 0.0
    frozen_layers: int = 0
    weight_decay: float = 0.01
    descriptions: bool = False

    def __post_init__(self) -> None:
        if min(self.batch, self.random_labels) < 1 or self.temperature <= 0 or self.learning_rate <= 0:
            raise ValueError("batch, random_labels, temperature and learning_rate must be positive")
        if self.steps < 0:
            raise ValueError("steps must be 0 or more")
        if self.ranking_temperature <= 0 or min(self.teacher_weight, self.ranking_weight, self.live_weight) < 0:
            raise ValueError("ranking_temperature must be positive, weights must not be negative")
        if not 0.0 <= self.token_dropout < 1.0:
            raise ValueError("token_dropout must lie in 0 to 1")
        if self.frozen_layers < 0:
            raise ValueError("frozen_layers must not be negative")
        if self.naming_queries < 0:
            raise ValueError("naming_queries must not be negative")
        if self.hard_labels < 0 or not all(0 < share < 1 for share in self.mine_at):
            raise ValueError("hard_labels must be 0 or more, mine_at must lie between 0 and 1")


@dataclass(frozen=True)
class LabelSetsTable:
    """[reasoning.label_sets]: shortlists of other label sets than the data's own, so that the reasoner learns to read
    labels rather than to know them.

    `domains` are data sets, by name or directory, whose labels the screener encodes. `swapped_queries` are made of the
    label texts of each (`edgexl.data.naming`), and answered by its labels. A share `mixed` of the data's own shortlists
    gives up to half of its places to a domain's labels, and a share `cut` is made over a random part of the data's
    labels, as a smaller set's would be.
    """

    domains: tuple[str, ...] = ()
    swapped_queries: int = 0
    mixed: float = 0.0
    cut: float = 0.0

    def __post_init__(self) -> None:
        if self.swapped_queries < 0 or not 0.0 <= min(self.mixed, self.cut) <= max(self.mixed, self.cut) <= 1.0:
            raise ValueError("swapped_queries must be 0 or more, mixed and cut must lie in 0 to 1")
        if (self.swapped_queries or self.mixed) and not self.domains:
            raise ValueError("swapped_queries and mixed need domains, other data sets; name one")


@dataclass(frozen=True)
class ReasoningTable:
    """[reasoning]: listwise softmax over the shortlist and 'none of these', plus `teacher_weight` x KL to the teacher;
    0 `steps` make a student without a reasoner, such as a teacher of vectors alone.

    Labels that the teacher itself confuses with the gold one count 1 + `near_miss_weight` x its probability x N times.
    A share `absent_share` of the shortlists loses its gold labels, so that the student learns to say so.
    Label vectors are met as devices read them, with fine codes of `bits` a dimension: `leading_dims` of them for half
    of the batches, all for the other half. Each step hides `token_dropout` of a query's tokens, against learning
    queries by heart.
    `familiar_queries` of the screener's own queries are added to those that are the reasoner's alone: their shortlists
    look a little too good, but there are many of them. `own_queries` limits the latter, where making shortlists of all
    would take longer than learning from them; 0 takes all. `naming_queries` are made from as many label texts, and
    the teacher is not queried about them.
    With `evidence` the reasoner sees all that screening knows of a label (descriptions, votes and likeness of words,
    too), each kind missing from a share `evidence_dropout` of the queries. `hide_descriptions` "one" hides a
    description of every label from each query: the query itself where it is one, else any; "all" leaves descriptions
    out altogether. A `residual` reasoner corrects screening's scores instead of replacing them. One with `letters`
    compares the spelling of query and label, too. `label_sets` are further ones to learn on. All of these need
    `evidence`.
    A `prior` above 0 is added when training is done: a label's logit gains so many times the log-likelihood
    of its word pieces, by how often training asks for each (`edgexl.student.prior`). With `fitted_screening` votes and
    words weigh in the scores that a residual reasoner corrects what a compile would have them weigh; else what they
    weigh for other label sets.
    After its steps the reasoner goes on for `often_steps` more on queries for labels that training asks for at least
    `often` times: where data sets ask for all labels alike, people ask for these.
    """

    steps: int
    batch: int = 64
    learning_rate: float = 5e-4
    warmup: float = 0.06
    teacher_weight: float = 0.05
    teacher_temperature: float = 1.0
    near_miss_weight: float = 0.0
    absent_share: float = 0.0
    weight_decay: float = 0.05
    dropout: float = 0.1
    token_dropout: float = 0.1
    familiar_queries: int = 0
    own_queries: int = 0
    naming_queries: int = 0
    bits: int = 4
    leading_dims: int = 192
    evidence: bool = False
    evidence_dropout: float = 0.0
    hide_descriptions: Literal["one", "all"] = "one"
    residual: bool = False
    letters: bool = False
    label_sets: LabelSetsTable = LabelSetsTable()
    prior: float = 0.0
    fitted_screening: bool = False
    often: int = 0
    often_steps: int = 0

    def __post_init__(self) -> None:
        if min(self.batch, self.leading_dims) < 1 or self.learning_rate <= 0:
            raise ValueError("batch, leading_dims and learning_rate must be positive")
        if self.steps < 0:
            raise ValueError("steps must be 0 or more")
        if self.bits not in (2, 4, 8) or self.leading_dims * self.bits % 8:
            raise ValueError("bits must be 2, 4 or 8, and leading_dims of them fill whole bytes")
        if not 0.0 <= self.dropout < 1.0 or not 0.0 <= self.token_dropout < 1.0:
            raise ValueError("dropout and token_dropout must lie in 0 to 1")
        if (
            min(self.familiar_queries, self.own_queries, self.naming_queries) < 0
            or min(self.near_miss_weight, self.teacher_weight) < 0
            or self.teacher_temperature <= 0
        ):
            raise ValueError("numbers of queries and weights must be 0 or more, teacher_temperature positive")
        if not 0.0 <= self.absent_share < 1.0:
            raise ValueError("absent_share must lie in 0 to 1")
        if not 0.0 <= self.evidence_dropout < 1.0:
            raise ValueError("evidence_dropout must lie in 0 to 1")
        if not 0.0 <= self.prior <= 10.0:
            raise ValueError("prior must lie in 0 to 10")
        if min(self.often, self.often_steps) < 0 or bool(self.often) != bool(self.often_steps):
            raise ValueError("often and often_steps must both be positive, or both be left out")
        if self.often and self.label_sets != LabelSetsTable():
            raise ValueError("often counts what the recipe's own labels are asked for; leave label_sets out with it")
        if not self.evidence and any(getattr(self, name) != LATER[name] for name in LATER):
            raise ValueError(f"{', '.join(name for name in LATER if name != 'evidence')} need evidence = true")
        if not self.evidence and self.fitted_screening:
            raise ValueError("fitted_screening needs evidence = true")

    @property
    def needs_decisions(self) -> bool:
        """Whether any term of the loss needs the teacher's decisions."""
        return self.teacher_weight > 0 or self.near_miss_weight > 0


# Keys of [reasoning] that recipes had not at first. Where none is used, what is said of a recipe does not name them: a
# student's provenance, and what tells one training from another, stay as they were.
LATER: dict[str, Any] = {
    "evidence": False, "evidence_dropout": 0.0, "hide_descriptions": "one", "residual": False, "letters": False,
    "label_sets": LabelSetsTable(),
}  # fmt: skip


@dataclass(frozen=True)
class DistillRecipe:
    """A whole recipe. `data` names a built-in data set or a directory, or is a table of one's own files.

    `teacher` is a model as `open_teacher` takes it, or the name of a shipped recipe that makes one; left out, the data
    alone teaches, which is how a first teacher is made. `start` is the encoder whose layers and word pieces the
    screener begins with: a sentence-transformers model or a student's directory; left out, the teacher itself.
    `label_tower` is a sentence-transformers model that gives the labels their vectors: the screener then learns to meet
    these with queries, and the device encodes nothing else; left out, the screener encodes both.
    `method` is mechanistic, each stage with its own objective, or standard, both imitating the teacher's final
    distribution. `aliases` are further rows of a label: none, those of the data set's own labels, or the training
    queries too. `profile` is what `edgexl characterize` wrote, by a path from the recipe's own place; what it
    recommends stands in for what the recipe leaves out. `naming` says how queries made of label texts differ from
    these; left out, as usual people's do. `keep_better` leaves out what training loses: the screener goes back to what
    it started as, and the reasoner is dropped, where development queries tell no gain beyond the standard error.
    """

    data: str | FilesTable
    student: Annotated[ShapeTable, choose_shape]
    screening: ScreeningTable
    reasoning: ReasoningTable
    teacher: str | None = None
    start: str | None = None
    cross_encoder: str | None = None
    label_tower: str | None = None
    method: str = "mechanistic"
    aliases: Literal["none", "own", "queries"] = "own"
    profile: str | None = None
    split: SplitTable = SplitTable()
    naming: Damage | None = None
    keep_better: bool = False
    seed: int = 0

    def as_table(self) -> dict[str, Any]:
        """The recipe as plain tables; of files of one's own their names, without the folders they lie in."""
        table = asdict(self)
        if not self.reasoning.evidence:
            table["reasoning"] = {name: value for name, value in table["reasoning"].items() if name not in LATER}
        table["reasoning"] = {
            name: value
            for name, value in table["reasoning"].items()
            if name not in ("prior", "fitted_screening", "often", "often_steps") or value
        }
        if isinstance(self.data, FilesTable):
            return table | {"data": asdict(self.data.moved(lambda path: Path(path).name))}
        # as above: keys that recipes had not at first
        table["split"] = {name: value for name, value in table["split"].items() if name != "judge_named" or value}
        table["screening"] = {
            name: value for name, value in table["screening"].items() if name != "descriptions" or value
        }
        return {name: value for name, value in table.items() if name not in ("naming", "keep_better") or value}


def find_distill_recipe(source: str | Path) -> Path:
    """The file of a distillation recipe: a path, or the name of one that edgexl ships. Raises `BadInput`."""
    return find_toml(source, "recipes/distill", "distillation recipe")


def read_recipe(path: Path) -> DistillRecipe:
    """Read a recipe, with what its profile recommends where it says nothing itself; raises `BadInput` for unknown keys
    and impossible values."""
    return build_recipe(toml.parse(path), path)


def build_recipe(table: dict[str, Any], path: Path) -> DistillRecipe:
    """The recipe of a TOML file's tables, as `read_recipe` reads them; `path` opens the sentences of errors, and paths
    in the tables are from its folder."""
    if isinstance(profile := table.get("profile"), str):
        # studying a teacher reads a corpus, and a corpus reads a recipe's split
        from edgexl.distill.characterize.recommendation import read_recommendation

        table["profile"] = str(path.parent / profile)
        table = take_advice(table, read_recommendation(table["profile"]))
    recipe = toml.build(table, DistillRecipe, str(path))
    if isinstance(recipe.data, FilesTable):
        recipe = replace(recipe, data=recipe.data.moved(lambda name: str(path.parent / name)))
    if not recipe.teacher and not recipe.start:
        raise BadInput(f"{path}: names no teacher, but there must be a teacher or a start; name one.")
    if recipe.reasoning.leading_dims > recipe.student.query_dims:
        raise BadInput(
            f"{path}: reasoning.leading_dims ({recipe.reasoning.leading_dims}) is more than "
            f"student.query_dims ({recipe.student.query_dims}); lower it."
        )
    if recipe.screening.descriptions and recipe.label_tower:
        raise BadInput(f"{path}: a label tower gives labels their vectors; take descriptions out of [screening].")
    if recipe.keep_better and (not recipe.reasoning.evidence or recipe.label_tower):
        raise BadInput(f"{path}: keep_better needs evidence = true in [reasoning], and no label_tower.")
    if recipe.reasoning.evidence and recipe.method == "standard":
        raise BadInput(f"{path}: standard distillation knows of no evidence; take it out of [reasoning].")
    return recipe


def take_advice(table: dict[str, Any], advice: Recommendation) -> dict[str, Any]:
    """A recipe's tables with the advice in place of what they leave out."""
    hints: dict[str, dict[str, Any]] = {
        "student": {"shortlist": advice.shortlist},
        "screening": {
            "teacher_weight": advice.screening.teacher_weight,
            "ranking_weight": advice.screening.ranking_weight,
            "hard_labels": min(advice.screening.hard_negatives, MOST_HARD_LABELS),
        },
        "reasoning": {
            "teacher_weight": advice.reasoning.teacher_weight,
            "near_miss_weight": advice.reasoning.near_miss_weight,
            "absent_share": advice.reasoning.absent_share,
        },
    }
    whole = dict(table)
    for name, values in hints.items():
        if isinstance(own := table.get(name), dict):
            whole[name] = values | own
    return whole
