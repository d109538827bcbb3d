"""Recipes: how a student is compiled, as one TOML file.

A recipe says what each graph is quantised to, how the label index stores its vectors, how many labels screening
hands on, how probabilities are fitted, and which gates the result must pass. Recipes that edgexl ships are found by
name.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from edgexl.base import toml
from edgexl.base.shipped import find_toml, shipped_files
from edgexl.bundle.parameters import MOST_WINDOWS
from edgexl.index.codebook import Coarse
from edgexl.index.rotation import Rotation
from edgexl.report.summary import Shown, Summary, quote
from edgexl.report.table import Table
from edgexl.target import Engine

Scheme = Literal["fp32", "int8", "int8-token", "int8-weights", "int4-weights"]


@dataclass(frozen=True)
class GraphRecipe:
    """One graph. `scheme` is what its matrix products with constant weights become:

    fp32          as they are
    int8          weights int8 a channel, activations uint8 with one scale a tensor, found while running. The native
                  engine always finds one a row: where it may be chosen, it is int8-token
    int8-token    the same with one activation scale a row: nearly exact. Six operators more a product, which a
                  screener's wide products hardly notice and a reasoner's narrow ones do (benchmarks/quantize.py)
    int8-weights  weights in blocks of 32 at 8 bits, nearly exact, but slow without dot products
    int4-weights  the same at 4 bits: the fewest bytes

    `embeddings` is what tables that are only looked up become: int8 with one scale a row, int4 in blocks of 32 with a
    scale each (.63 of int8's bytes), or fp32.
    `keep_fp32` names matrix products that stay as they are: parts of the ONNX node names (`edgexl compile` prints an
    unknown one as an error). `layers`: how many of its first layers stay, all when left out; what the others did is
    lost, and labels are encoded without them, too.
    """

    scheme: Scheme = "int8"
    embeddings: Literal["int8", "int4", "fp32"] = "int8"
    keep_fp32: tuple[str, ...] = ()
    layers: int | None = None

    def __post_init__(self) -> None:
        if self.layers is not None and self.layers < 1:
            raise ValueError(f"layers = {self.layers} must be at least 1; leave it out to keep all")


@dataclass(frozen=True)
class ReasonerRecipe(GraphRecipe):
    """The reasoner's graph, and how its logits count.

    With `blend` "auto" the compile looks whether more right labels come first when the screening score is added to the
    logit, or when the reasoner is left out altogether, and does so where it is sure. It looks on held-out queries or,
    where there are too few, on queries made of label texts, by which it stays where it is better and is left out
    elsewhere. "none" takes the logits as they are, "screening" leaves the reasoner out.
    """

    blend: Literal["auto", "none", "screening"] = "auto"


@dataclass(frozen=True)
class VocabularyRecipe:
    """Which word pieces the bundle keeps; texts of kept ones have the vectors that they had, and the manifest tells how
    many of the held-out queries' tokens were lost.

    `keep`: "all"; "labels", those of label texts, aliases, descriptions and calibration queries, single characters and
    special tokens; a number, of the others the model's most frequent ones, too, up to so many in all; or "auto", 32768
    of a vocabulary of more than 65536 pieces, as multilingual encoders have. Of each of the `languages` ("de") the
    pieces of its `words` most frequent words stay, too, by the lists of the package wordfreq, which is fetched.
    """

    keep: int | Literal["auto", "all", "labels"] = "auto"
    languages: tuple[str, ...] = ()
    words: int = 20_000

    def __post_init__(self) -> None:
        if isinstance(self.keep, int) and self.keep < 1:
            raise ValueError(f'[vocabulary] keep = {self.keep} must be above 0, or "auto", "all" or "labels"')
        if self.words < 1:
            raise ValueError(f"[vocabulary] words = {self.words} must be above 0")
        if self.languages and self.keep == "all":
            raise ValueError('[vocabulary] languages say what is kept; with keep = "all" leave them out')


@dataclass(frozen=True)
class IndexRecipe:
    """The label index.

    `rotation` of the index's space: none, random (energy spread evenly) or pca (gathered
    in the leading `fine_dims`, and spread there). `coarse` codes, of `code_bytes`
    a row, are scanned: sign (4 sign bits a nibble; a bit a dimension), pq (a trained code book a nibble), or auto,
    whichever keeps most for held-out queries, and of as many of a pca rotation's leading dimensions as is best.
    `coarse_dims` leading dimensions are coded otherwise (all when left out). The best
    `overfetch` rows are rescored with fine codes of `fine_bits` for the leading `fine_dims` dimensions (all when
    left out, or where there are fewer; with auto and pca at most so many, as many as is best). `aliases` become
    further rows of their label, but for those that say nothing new: whose vector has a cosine of `alias_cosine` or
    more to the label's own text or to another alias of the same labels. So do `descriptions`: "joined" with the
    label's text (its vector and theirs together), "rows" as they are, or "none" of them; "auto" is joined, unless
    held-out queries find more by them as they are, or without them. With `keep_descriptions` the bundle holds their
    text, to be shown. `labels_from`: which screener encodes the labels, the float one (or the student's label
    tower, where it has one) or the quantised one. `cells`: into how many the rows are parted, so that a query scans
    those near it (0: it scans all; "auto": from 3 million rows on); as many are probed as find `cell_recall` of
    what a scan of all rows ranks first. `lexical`: whether labels are also found by words that they share with the
    query, however these are spelled: "auto" where held-out queries say that it pays, or where there are none. It
    takes at most `lexical_bytes` a row, and brings `lexical_candidates` rows at most.
    """

    rotation: Rotation = "none"
    coarse: Coarse = "pq"
    coarse_dims: int | None = None
    code_bytes: int = 32
    overfetch: int = 1024
    fine_bits: Literal[2, 4, 8] = 4
    fine_dims: int | None = None
    aliases: bool = True
    alias_cosine: float = 0.99
    descriptions: Literal["joined", "rows", "none", "auto"] = "auto"
    keep_descriptions: bool = False
    labels_from: Literal["float", "quantized"] = "float"
    cells: int | Literal["auto"] = "auto"
    cell_recall: float = 0.98
    lexical: Literal["auto", "none"] = "auto"
    lexical_bytes: float = 24.0
    lexical_candidates: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.code_bytes <= 128:
            raise ValueError(f"[index] code_bytes = {self.code_bytes} must lie within 1 and 128")
        if self.coarse_dims is not None and (self.coarse_dims < 2 or self.coarse_dims % (2 * self.code_bytes)):
            raise ValueError(
                f"[index] coarse_dims = {self.coarse_dims} must divide into {2 * self.code_bytes} subspaces, two a byte"
            )
        if not 1 <= self.overfetch <= 16384:
            raise ValueError(f"[index] overfetch = {self.overfetch} must lie within 1 and 16384")
        if not 0 < self.alias_cosine <= 1:
            raise ValueError(f"[index] alias_cosine = {self.alias_cosine} must be above 0 and at most 1")
        if self.cells != "auto" and not 0 <= self.cells <= 65536:
            raise ValueError(f'[index] cells = {self.cells} must lie within 0 and 65536, or be "auto"')
        if not 1 <= self.lexical_bytes <= 1024:
            raise ValueError(f"[index] lexical_bytes = {self.lexical_bytes} must lie within 1 and 1024")
        if not 1 <= self.lexical_candidates <= 4096:
            raise ValueError(f"[index] lexical_candidates = {self.lexical_candidates} must lie within 1 and 4096")
        if not 0 < self.cell_recall <= 1:
            raise ValueError(f"[index] cell_recall = {self.cell_recall} must be above 0 and at most 1")
        if self.fine_dims is not None and (self.fine_dims < 2 or self.fine_dims % 2):
            raise ValueError(f"[index] fine_dims = {self.fine_dims} must be even and at least 2")

    def fine_dims_of(self, dims: int) -> int:
        """How many leading dimensions the fine codes of a student of `dims` keep: as many as fill whole bytes."""
        whole = dims - dims % (4 if self.fine_bits == 2 else 2)
        return min(self.fine_dims or whole, whole)


@dataclass(frozen=True)
class ShortlistRecipe:
    """`n` labels go from screening to reasoning; left out, as many as the student was trained with. A bundle of fewer
    labels has room for so many, too: some may be added.

    A text that has more tokens than the screener takes is read in at most so many `windows`, its beginning and then 24
    words each, which overlap, and their shortlists are merged; 1: its beginning only. "auto" is 64, unless held-out
    queries are found no better by them.
    """

    n: int | None = None
    windows: int | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        if self.windows != "auto" and not 1 <= self.windows <= MOST_WINDOWS:
            raise ValueError(f'[shortlist] windows = {self.windows} must lie within 1 and {MOST_WINDOWS}, or be "auto"')
        if self.n is not None and not 1 <= self.n <= 4096:
            raise ValueError(f"[shortlist] n = {self.n} must lie within 1 and 4096")


@dataclass(frozen=True)
class CalibrateRecipe:
    """Probabilities are fitted on at most `queries` held-out queries, by `method`.

    "none" takes a label's share of the shortlist's softmax as it is: for students without held-out queries.
    A set smaller than `overfetch` gets two numbers instead of a curve, a temperature and a factor, which hold when it
    grows; where fewer than 20 gold labels are shortlisted, or no wrong one, it is as with "none" (see the manifest).
    An answer says that none of its labels fits where the best logit is one that a share `absence_noticed` of the
    shortlists without their gold labels stays below (a few points more where few of them leave it uncertain), but of
    the right best labels a share `most_doubted` at most; with `absence_noticed` 0 it never says so. It also says so of
    texts with fewer tokens that labels have than 99% of the held-out queries, and never of a label's own name.
    """

    method: Literal["isotonic", "platt", "none"] = "isotonic"
    queries: int = 2000
    absence_noticed: float = 0.8
    most_doubted: float = 0.33

    def __post_init__(self) -> None:
        if not 0.0 <= self.absence_noticed < 1.0:
            raise ValueError(f"[calibrate] absence_noticed = {self.absence_noticed} must be a share from 0 to below 1")
        if not 0.0 <= self.most_doubted <= 1.0:
            raise ValueError(f"[calibrate] most_doubted = {self.most_doubted} must be a share from 0 to 1")
        if self.queries < 20:
            raise ValueError(f"[calibrate] queries = {self.queries} must be at least 20; a fit on fewer means nothing")


@dataclass(frozen=True)
class StageTimes:
    """The most ms that the median of a query may take in each stage, and in all (`total`); None: no limit."""

    total: float | None = None
    tokenize: float | None = None
    encode: float | None = None
    scan: float | None = None
    match: float | None = None
    rescore: float | None = None
    gather: float | None = None
    reason: float | None = None
    calibrate: float | None = None

    def __post_init__(self) -> None:
        for name, value in self.limits.items():
            if not value > 0:
                raise ValueError(f"[gates.max_ms] {name} = {value} must be above 0; leave it out for no limit")

    @property
    def limits(self) -> dict[str, float]:
        """Those that are set, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class PartBytes:
    """The most bytes of each part of the file: `screener` and `reasoner` (graphs, weights, tokenizer, calibration),
    `index` (codes, words, which rows are whose), `texts` (labels' texts, ids and descriptions); None: no limit."""

    screener: int | None = None
    reasoner: int | None = None
    index: int | None = None
    texts: int | None = None

    def __post_init__(self) -> None:
        for name, value in self.limits.items():
            if value < 1:
                raise ValueError(f"[gates.max_bytes] {name} = {value} must be above 0; leave it out for no limit")

    @property
    def limits(self) -> dict[str, int]:
        """Those that are set, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Scores:
    """The least that the C runtime's answers to the evaluation queries must reach, in percent: the whole bundle, and
    its screening alone; None: no limit."""

    p_at_1: float | None = None
    r_at_100: float | None = None
    ndcg_at_5: float | None = None
    screening_p_at_1: float | None = None
    screening_r_at_100: float | None = None
    screening_ndcg_at_5: float | None = None

    def __post_init__(self) -> None:
        for name, value in self.limits.items():
            if not 0 <= value <= 100:
                raise ValueError(f"[gates.min] {name} = {value} must be a percentage, 0 to 100")

    @property
    def limits(self) -> dict[str, float]:
        """Those that are set, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class GateRecipe:
    """What a compile must reach.

    `p_at_1_kept` and `r_at_100_kept` are percentages of the float student's numbers on the same `queries` evaluation
    queries at most; `reasoner_gain` is the least that P@1 of the whole may be above P@1 of screening, in points, on the
    queries that the blend is chosen by, give or take the standard error (-100: all passes); `max_bundle_bytes` limits
    the file, and `max_bytes` its parts. `min` is what answers must reach, whatever the float student does, and
    `max_calibration_error` how far first labels' probabilities may be off on average, in percent, by
    cross-validation. A few thousand queries place a percentage within a point or
    two only: with a `confidence` above .5 a gate fails where less is kept by more than chance explains in that share of
    samples; with .5 it judges the figure as it came out.

    `max_ms`, `max_load_ms` and `max_memory_bytes` (peak resident of exl-bench) are measured where the target is this
    machine, and foretold for others (`edgexl.cost`); such figures are no part of the manifest.
    """

    p_at_1_kept: float = 0.0
    r_at_100_kept: float = 0.0
    confidence: float = 0.5
    max_bundle_bytes: int | None = None
    queries: int = 2000
    reasoner_gain: float = 0.0
    max_memory_bytes: int | None = None
    max_load_ms: float | None = None
    max_calibration_error: float | None = None
    max_ms: StageTimes = StageTimes()
    max_bytes: PartBytes = PartBytes()
    min: Scores = Scores()

    @property
    def on_costs(self) -> bool:
        """Whether something is asked that only a device or a cost model can tell."""
        return bool(self.max_ms.limits) or self.max_memory_bytes is not None or self.max_load_ms is not None

    def __post_init__(self) -> None:
        for name in ("max_memory_bytes", "max_load_ms"):
            if (value := getattr(self, name)) is not None and not value > 0:
                raise ValueError(f"[gates] {name} = {value} must be above 0; leave it out for no limit")
        if self.max_calibration_error is not None and not 0 <= self.max_calibration_error <= 100:
            raise ValueError(
                f"[gates] max_calibration_error = {self.max_calibration_error} must be a percentage, 0 to 100"
            )
        for name in ("p_at_1_kept", "r_at_100_kept"):
            if not 0 <= getattr(self, name) <= 100:
                raise ValueError(f"[gates] {name} = {getattr(self, name)} must be a percentage, 0 to 100")
        if not -100 <= self.reasoner_gain <= 100:
            raise ValueError(f"[gates] reasoner_gain = {self.reasoner_gain} must be in points, -100 to 100")
        if not 0.5 <= self.confidence < 1:
            raise ValueError(f"[gates] confidence = {self.confidence} must be a share from 0.5 to below 1")
        if self.queries < 1 or (self.max_bundle_bytes is not None and self.max_bundle_bytes < 1):
            raise ValueError("[gates] queries and max_bundle_bytes must be positive")


@dataclass(frozen=True, repr=False)
class Recipe(Shown):
    """A recipe file. `name` and `description` are for people; `engine` runs the graphs ("native" is refused where it
    does not cover them); the tables are described by their classes.
    """

    name: str
    description: str = ""
    engine: Engine = "auto"
    screener: GraphRecipe = field(default_factory=GraphRecipe)
    reasoner: ReasonerRecipe = field(default_factory=ReasonerRecipe)
    vocabulary: VocabularyRecipe = field(default_factory=VocabularyRecipe)
    index: IndexRecipe = field(default_factory=IndexRecipe)
    shortlist: ShortlistRecipe = field(default_factory=ShortlistRecipe)
    calibrate: CalibrateRecipe = field(default_factory=CalibrateRecipe)
    gates: GateRecipe = field(default_factory=GateRecipe)

    def __post_init__(self) -> None:
        if self.shortlist.n is not None and self.index.overfetch < self.shortlist.n:
            raise ValueError(
                f"[index] overfetch = {self.index.overfetch} is below [shortlist] n = {self.shortlist.n}; "
                "as many rows at least must be rescored as labels are handed on"
            )

    def _summary(self) -> Summary:
        settings = _flatten(asdict(self))
        usual = _flatten(asdict(Recipe(self.name, self.description)))
        own = [f"{name} = {value}" for name, value in settings.items() if value != usual[name]]
        changed = f"{'; '.join(own[:6])}{f' and {len(own) - 6} more' if len(own) > 6 else ''}" or "all by default"
        rows = [(name, str(value)) for name, value in settings.items()]
        facts = {"name": self.name, **({"description": self.description} if self.description else {})}
        return Summary(f"{quote(self.name)}: {changed}", facts, folded=(Table("settings", ("setting", "value"), rows),))


def _flatten(tables: dict[str, Any]) -> dict[str, Any]:
    """The settings in a recipe's tables, by "table.setting"."""
    found: dict[str, Any] = {}
    for name, value in tables.items():
        if isinstance(value, dict):
            found |= {f"{name}.{inner}": each for inner, each in value.items()}
        elif name not in ("name", "description"):
            found[name] = value
    return found


def load_recipe(source: str | Path) -> Recipe:
    """Read a recipe by name or path; a mistake in it is a `BadInput` sentence that names the key."""
    return toml.load(find_recipe(source), Recipe)


def find_recipe(source: str | Path) -> Path:
    """The file of a recipe: a path, or the name of one that edgexl ships. Raises `BadInput`."""
    return find_toml(source, "recipes/compile", "recipe")


def available_recipes() -> tuple[str, ...]:
    """Names of the compile recipes that edgexl ships, sorted."""
    return tuple(shipped_files("recipes/compile"))
