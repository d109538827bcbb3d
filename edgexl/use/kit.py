"""A kit to measure a device that this machine cannot reach: one archive with a bundle, exl-bench for each processor and
a script, to be copied over and run; what it writes is one file of JSON, to be brought back.
"""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgexl import __version__
from edgexl.base.archives import Member, pack_tar_gz
from edgexl.base.errors import BadInput
from edgexl.base.files import check_output, read_input, write_file, write_text
from edgexl.base.progress import Progress, no_progress
from edgexl.base.strict_json import parse_object
from edgexl.bundle.read import read_bundle
from edgexl.device.cpus import PROBE_CPUS, Cpus, read_cpus
from edgexl.device.detect import check_target_file, describe
from edgexl.device.probe import ESCAPE, PROBE, SystemFacts, read_probe
from edgexl.device.target_file import write_target
from edgexl.device.tools import build_tools, link_statically
from edgexl.runtime.build import architecture
from edgexl.target import Target, load_target
from edgexl.use.profile.queries import read_texts

FORMAT = 1
FOLDER = "edgexl-kit"
RESULT = "result.json"
_MOST_BYTES = 64 << 20

# Every line end becomes \n in a string of JSON.
_SCRIPT = """#!/bin/sh
# Measures this device with edgexl. Nothing is installed, and nothing is written but {result}, beside this script.
# Linux: sh run.sh. Android: adb push this folder to /data/local/tmp, then adb shell sh /data/local/tmp/{folder}/run.sh
cd "$(dirname "$0")" || exit 3
folder=$PWD
TMPDIR=$folder; export TMPDIR
case $(uname -m) in
  aarch64 | arm64) bench=exl-bench-aarch64 ;;
  x86_64 | amd64) bench=exl-bench-x86_64 ;;
  *) echo "this kit is for 64-bit ARM and x86, not for $(uname -m)" >&2; exit 3 ;;
esac
chmod 700 $bench || exit 3
{escape}
quote() {{ escape | sed -e ':a' -e '$!N' -e '$!ba' -e 's/\\n/\\\\n/g'; }}
tell() {{
{probe}
}}
tell_cpus() {{ (
{probe_cpus}
) }}
rm -f {result}.part
limits=$(./$bench --limits --core auto --file bundle.exl) ||
  {{ echo "exl-bench cannot measure this device" >&2; exit 3; }}
measured=$(./$bench bundle.exl{arguments}) ||
  {{ echo "exl-bench cannot answer from the bundle on this device" >&2; exit 3; }}
{{
  printf '{{"kit": %s, "edgexl": "%s", "bundle_sha256": "%s",\\n' {format} {version} {sha256}
  printf '"system": "%s",\\n"cpus": "%s",\\n' "$(tell | quote)" "$(tell_cpus | quote)"
  printf '"limits": %s,\\n"profile": %s}}\\n' "$limits" "$measured"
}} > {result}.part && mv {result}.part {result} || exit 3
echo "$folder/{result} is written: bring it back, and have edgexl read it (edgexl targets detect --from {result})"
"""


@dataclass(frozen=True)
class KitResult:
    """What a kit brought back: the device's facts, its `limits` and the bundle's `profile` as exl-bench prints them."""

    system: SystemFacts
    cpus: Cpus
    limits: dict[str, Any]
    profile: dict[str, Any]
    bundle_sha256: str


def write_kit(
    bundle: Path, out: Path, queries: Path | None = None, runs: int = 200, progress: Progress = no_progress
) -> Path:
    """Write the archive `out` (.tar.gz), for Linux and Android on 64-bit ARM and x86, whatever their C library.

    `queries` as `profile` takes them, instead of the bundle's goldens. Raises `BadInput` for an unusable file, or a
    bundle for ONNX Runtime, which what stands alone cannot load; `DeviceError` where the tools cannot be built.
    """
    if not out.name.endswith((".tar.gz", ".tgz")):
        raise BadInput(f"{out} is no name for a kit; let it end in .tar.gz.")
    check_output(out)
    opened = read_bundle(bundle)
    engine = opened.manifest.get("engine")
    if engine != "native":
        raise BadInput(f"{bundle} is made for the engine {engine}; a kit takes bundles for the native one.")
    content = read_input(bundle)
    arguments = ["--runs", str(runs), "--core", "auto", "--operations"]
    files: dict[str, tuple[bytes, int]] = {"bundle.exl": (content, 0o644)}
    if queries is not None:
        lines = "".join(f"{text}\n" for text in read_texts(queries, opened))
        files["queries.txt"] = (lines.encode("utf-8", "replace"), 0o644)
        arguments += ["--queries", "queries.txt"]
    for target in ("raspberry-pi-4", "x86-64-v3"):  # the plainest of each processor
        static = link_statically(load_target(Path(target)))
        tool = build_tools(static, progress) / "exl-bench"
        files[f"exl-bench-{architecture(static)}"] = (tool.read_bytes(), 0o755)
    files["run.sh"] = (_write_script(hashlib.sha256(content).hexdigest(), arguments).encode(), 0o755)
    with write_file(out) as stream:
        stream.write(pack_tar_gz({f"{FOLDER}/{name}": Member(*file) for name, file in files.items()}))
    return out


def read_kit_result(path: Path) -> KitResult:
    """What `run.sh` wrote. Raises `BadInput` where it is no such file, or of another version of the kit."""
    try:
        told = parse_object(read_input(path, _MOST_BYTES))
    except ValueError as error:
        raise BadInput(f"{path} is not what a kit writes: {error}; run the kit again.") from None
    if told.get("kit") != FORMAT:
        raise BadInput(f"{path} is not what a kit of this edgexl writes; make a new kit, and run that.")
    try:
        system = read_probe(told["system"])
        if system is None:
            raise BadInput(f"{path} does not tell what the device is; run the kit again.")
        cpus = read_cpus(told["cpus"], system.cores)
        _check_limits(told["limits"])
        return KitResult(system, cpus, told["limits"], dict(told["profile"]), str(told["bundle_sha256"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"{path} lacks a part of what a kit writes ({error}); run the kit again.") from None


def detect_from(path: Path, out: Path, overwrite: bool = False) -> Target:
    """As `detect_to`, out of what a kit brought back."""
    check_target_file(out, overwrite)
    result = read_kit_result(path)
    found = describe(out.stem, result.system, result.cpus, result.limits)
    write_text(out, write_target(found.target, found.notes, device=f"a device, by {path.name}"))
    return found.target


def _write_script(sha256: str, arguments: list[str]) -> str:
    return _SCRIPT.format(
        result=RESULT, folder=FOLDER, escape=ESCAPE, probe=PROBE.strip(), probe_cpus=PROBE_CPUS.strip(), format=FORMAT,
        version=__version__, sha256=sha256, arguments="".join(f" {shlex.quote(each)}" for each in arguments),
    )  # fmt: skip


def _check_limits(limits: Any) -> None:
    """Raise `ValueError` where `limits` are not what `exl-bench --limits` prints."""
    rates = [limits["int8_gmacs"], limits["f32_gmacs"], *(each["gb_per_s"] for each in limits["read"])]
    sizes = [each["bytes"] for each in limits["read"]]
    if not isinstance(limits["kernel"], str) or not all(isinstance(each, int | float) and each >= 0 for each in rates):
        raise ValueError("its limits are no numbers")
    if not all(isinstance(each, int) and each > 0 for each in sizes) or sizes != sorted(sizes):
        raise ValueError("its sizes do not grow")
