"""The demonstration: the shipped reverse dictionary compiled for this machine, asked for words by what they mean."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgexl import __version__
from edgexl.base.errors import BadInput
from edgexl.base.fetch import cache_directory
from edgexl.base.progress import Progress, no_progress
from edgexl.base.shipped import available_students
from edgexl.bundle.read import read_bundle
from edgexl.runtime.binding import BundleHandle, open_bundle
from edgexl.runtime.library import NoSuchLabel
from edgexl.use.answer import Answer

STUDENT, RECIPE, TARGET = "dictionary", "balanced", "host"
# The first ten of a set of descriptions that people wrote for words, fixed before the student was trained.
DESCRIPTIONS = (
    ("bakery", "a shop where they make and sell bread and cakes"),
    ("ambulance", "a car that takes sick or hurt people to the hospital quickly"),
    ("bridge", "something built so that cars and people can get over a river"),
    ("umbrella", "you hold it over your head so that you do not get wet when it rains"),
    ("plumber", "a person who comes to your home to fix the pipes and taps"),
    ("widow", "a woman whose husband has died"),
    ("orphan", "a child who has no mother and no father any more"),
    ("borrow", "to take something from someone and give it back later"),
    ("yawn", "to open your mouth wide because you are tired"),
    ("whisper", "to talk very quietly so that others cannot hear you"),
)
CODER = "mesh"
NAMES = (("Myocardial Infarction", "infarct of the heart muscle"), ("Aspirin", "acetyl salicylic acid tablets"))


@dataclass(frozen=True)
class Demonstration:
    """The bundle that answered, its answers to `DESCRIPTIONS`, each with the way of the word that was meant, and the
    ledger of its compile. `coder`: answers of the medical coder to `NAMES`, where it was asked."""

    bundle: Path
    answers: tuple[Answer, ...]
    ledger: list[dict[str, Any]]
    coder: tuple[Answer, ...] = ()

    @property
    def ranks(self) -> list[int]:
        """The ranks of the words that were meant: reasoning's of those on the shortlist, screening's of others."""
        ways = [answer.explanation for answer in self.answers if answer.explanation is not None]
        return [way.reasoner_rank if way.shortlisted else way.screening_rank for way in ways]


def demonstrate(out: Path | None = None, progress: Progress = no_progress, coder: bool = False) -> Demonstration:
    """Answer `DESCRIPTIONS` with the bundle at `out` (or in the cache), after compiling it where it is not there, and
    `NAMES` with the medical coder's, where that is in the cache; with `coder` it is compiled first, which takes some
    ten minutes."""
    bundle = out or _place(STUDENT)
    # a file that someone has named is theirs, and what is wrong with it is said; one in the cache is made again
    if not (bundle.exists() if out else _is_sound(bundle)):
        _compile(STUDENT, bundle, progress)
    named: tuple[Answer, ...] = ()
    if coder or (out is None and _place(CODER).exists()):
        if not _is_sound(_place(CODER)):
            _compile(CODER, _place(CODER), progress)
        named = _ask(_place(CODER), NAMES)
    ledger = read_bundle(bundle, verify=False).manifest["ledger"]
    return Demonstration(bundle, _ask(bundle, DESCRIPTIONS), ledger, named)


def _place(student: str) -> Path:
    """Where a student's bundle lies in the cache."""
    return cache_directory() / "demo" / f"{student}-{RECIPE}-{_inputs_sha256(student)[:16]}.exl"


def _ask(bundle: Path, asked: Sequence[tuple[str, str]]) -> tuple[Answer, ...]:
    """Answers to (label meant, text) pairs."""
    with open_bundle(bundle) as handle:
        # a process's first answer also reads the bundle from the disk, and its times say little
        handle.predict(asked[0][1])
        return tuple(_answer(handle, meant, text) for meant, text in asked)


def _answer(handle: BundleHandle, meant: str, text: str) -> Answer:
    prediction = handle.predict(text)
    try:
        label = handle.find_label(meant)
    except NoSuchLabel:  # another bundle than the demonstration's own
        return Answer(text, prediction)
    return Answer(text, prediction, handle.explain(text, label), handle.label_description(label))


def _is_sound(bundle: Path) -> bool:
    try:
        read_bundle(bundle)
    except BadInput:
        return False
    return True


def _compile(name: str, bundle: Path, progress: Progress) -> None:
    # torch takes seconds to import, and a second demonstration does not need it
    from edgexl.compiler import compile
    from edgexl.compiler.recipe import load_recipe
    from edgexl.student.student import load_student
    from edgexl.target import load_target

    bundle.parent.mkdir(parents=True, exist_ok=True)
    progress("load the student", 0, 1)
    student = load_student(name, progress)
    progress("load the student", 1, 1)
    compile(student, load_recipe(RECIPE), load_target(TARGET), bundle, progress=progress)


def _inputs_sha256(student: str) -> str:
    """What the cached bundle was made of: another student, recipe, CPU or version of edgexl makes another bundle."""
    from edgexl.compiler.recipe import load_recipe
    from edgexl.target import load_target

    digest = hashlib.sha256(f"{__version__}\n{load_recipe(RECIPE)!r}\n{load_target(TARGET)!r}\n".encode())
    for path in sorted(available_students()[student].iterdir()):
        with open(path, "rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()
