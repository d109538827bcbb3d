"""Patches on files: a new bundle in the old one's place, its labels with it, and nothing but the old one or the new one
wherever the process is killed."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from edgexl.base.errors import BadInput, DeviceError, GateFailed
from edgexl.bundle.goldens import Goldens
from edgexl.bundle.label_file import label_file_of, read_label_file
from edgexl.bundle.layout import Kind
from edgexl.bundle.patch import HEADER, read_patch_header
from edgexl.bundle.signing import new_key, sign, sign_bundle, sign_patch, store_signature
from edgexl.bundle.write import write_bundle
from edgexl.runtime.binding import NewLabel, open_bundle
from edgexl.runtime.library import NotTrusted, find_library
from edgexl.runtime.patches import update_bundle, verify_patch
from edgexl.use.diff import write_patch
from tests.runtime.tiny_bundle import TinyBundle, build

HERE = Path(__file__).parent
INCLUDE = find_library().parents[1] / "include"


def other_goldens(tiny: TinyBundle, path: Path, change: Callable[[bytes], bytes]) -> Path:
    """The bundle with other goldens: another file whose every answer is the same."""
    sections = dict(tiny.sections)
    sections[Kind.GOLDENS] = change(sections[Kind.GOLDENS])
    write_bundle(path, sections)
    return path


def fewer(goldens: bytes) -> bytes:
    known = Goldens.unpack(goldens)
    return Goldens(known.k, known.tolerance, known.items[:-1]).pack()


def files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if not path.name.endswith(".lock")}


BUNDLES = {
    "native": {"native": True},
    "ort": {},
    "aliases": {"native": True, "aliases": True, "cells": 9},
    "lexical": {"native": True, "aliases": True, "descriptions": 100, "lexical": True},
}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("bundles")
    return {name: build(**options).write(directory / f"{name}.exl") for name, options in BUNDLES.items()}


@pytest.mark.parametrize(("old", "new"), [("native", "lexical"), ("lexical", "ort"), ("ort", "aliases")])
def test_a_patch_makes_the_new_bundle(bundles: dict[str, Path], tmp_path: Path, old: str, new: str) -> None:
    made = write_patch(bundles[old], bundles[new], tmp_path / "p.exlp")
    assert made.patch_bytes == (tmp_path / "p.exlp").stat().st_size < made.new_bytes / 2
    assert read_patch_header(tmp_path / "p.exlp").new_bytes == made.new_bytes == bundles[new].stat().st_size
    told = []
    report = update_bundle(
        bundles[old], tmp_path / "p.exlp", tmp_path / "made.exl", progress=lambda *step: told.append(step)
    )
    assert (tmp_path / "made.exl").read_bytes() == bundles[new].read_bytes()
    assert report.new_bytes == made.new_bytes == told[-1][0] == told[-1][1]
    shutil.copy(bundles[old], tmp_path / "in place.exl")
    (tmp_path / "in place.exl").chmod(0o640)
    (tmp_path / "link.exl").symlink_to("in place.exl")
    update_bundle(tmp_path / "link.exl", tmp_path / "p.exlp")
    assert (tmp_path / "link.exl").is_symlink()
    assert (tmp_path / "in place.exl").read_bytes() == bundles[new].read_bytes()
    assert (tmp_path / "in place.exl").stat().st_mode & 0o777 == 0o640
    assert sorted(files(tmp_path)) == ["in place.exl", "link.exl", "made.exl", "p.exlp"]


def test_equal_bundles_give_equal_patches(bundles: dict[str, Path], tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_patch(bundles["native"], bundles["aliases"], tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with pytest.raises(BadInput, match="are the same bundle"):
        write_patch(bundles["ort"], bundles["ort"], tmp_path / "c")


def test_what_a_patch_is_not_for_is_refused(bundles: dict[str, Path], tmp_path: Path) -> None:
    patch, bundle = tmp_path / "p.exlp", tmp_path / "b.exl"
    write_patch(bundles["native"], bundles["aliases"], patch)
    shutil.copy(bundles["ort"], bundle)
    with pytest.raises(BadInput, match="made for another bundle"):
        update_bundle(bundle, patch)
    assert bundle.read_bytes() == bundles["ort"].read_bytes()
    shutil.copy(bundles["aliases"], bundle)
    with pytest.raises(BadInput, match="already the one that the patch makes"):
        update_bundle(bundle, patch)
    with pytest.raises(BadInput, match=r"the patch .*missing.exlp cannot be read"):
        update_bundle(bundle, tmp_path / "missing.exlp")
    with pytest.raises(BadInput, match="does not begin as an edgexl patch does"):
        update_bundle(bundle, bundle)
    with pytest.raises(DeviceError, match=r"the new bundle .* cannot be written"):
        update_bundle(bundles["native"], patch, tmp_path / "nowhere" / "b.exl")
    assert sorted(files(tmp_path)) == ["b.exl", "p.exlp"]


def test_a_patch_that_was_changed_anywhere_is_refused(bundles: dict[str, Path], tmp_path: Path) -> None:
    patch, bundle = tmp_path / "p.exlp", tmp_path / "b.exl"
    write_patch(bundles["native"], bundles["aliases"], patch)
    sound = patch.read_bytes()
    shutil.copy(bundles["native"], bundle)
    for place in [*range(HEADER.size), *range(HEADER.size, len(sound), len(sound) // 60)]:
        damaged = bytearray(sound)
        damaged[place] ^= 0x10
        if place in (10, 11):  # a larger minor version is read
            continue
        patch.write_bytes(damaged)
        with pytest.raises(BadInput):
            update_bundle(bundle, patch)
        assert files(tmp_path) == {"b.exl": bundles["native"].read_bytes(), "p.exlp": bytes(damaged)}


def test_a_bundle_that_does_not_answer_as_recorded_is_not_put_in_place(tmp_path: Path) -> None:
    tiny = build(native=True)
    bundle = tiny.write(tmp_path / "b.exl")

    def wrong(goldens: bytes) -> bytes:
        known = Goldens.unpack(goldens)
        first = known.items[0]
        items = (type(first)(first.text, first.tokens, first.labels[::-1], first.probabilities), *known.items[1:])
        return Goldens(known.k, known.tolerance, items).pack()

    before = bundle.read_bytes()
    new = other_goldens(tiny, tmp_path / "new.exl", wrong)
    write_patch(bundle, new, tmp_path / "p.exlp")
    with pytest.raises(GateFailed, match="goldens are not reproduced"):
        update_bundle(bundle, tmp_path / "p.exlp")
    assert bundle.read_bytes() == before
    assert sorted(files(tmp_path)) == ["b.exl", "new.exl", "p.exlp"]
    update_bundle(bundle, tmp_path / "p.exlp", engine=False)
    assert bundle.read_bytes() == new.read_bytes()


def test_only_what_a_trusted_key_has_signed_is_put_in_place(bundles: dict[str, Path], tmp_path: Path) -> None:
    bundle, signed, patch, key = tmp_path / "b.exl", tmp_path / "s.exl", tmp_path / "p.exlp", new_key()
    shutil.copy(bundles["native"], bundle)
    write_patch(bundle, bundles["aliases"], patch)
    with pytest.raises(NotTrusted, match="holds no signature"):
        update_bundle(bundle, patch, keys=[key.public.line])
    store_signature(bundles["aliases"], sign_bundle(bundles["aliases"], key, 3), signed)
    write_patch(bundle, signed, patch)
    with pytest.raises(NotTrusted, match="not one of the trusted"):
        update_bundle(bundle, patch, keys=[new_key().public.line])
    with pytest.raises(NotTrusted, match="4 is the least accepted"):
        update_bundle(bundle, patch, keys=[key.public.line], least_version=4)
    assert bundle.read_bytes() == bundles["native"].read_bytes()
    update_bundle(bundle, patch, keys=[key.public.line], least_version=3)
    assert bundle.read_bytes() == signed.read_bytes()


def test_a_signature_of_the_patch_is_checked_before_anything_is_written(
    bundles: dict[str, Path], tmp_path: Path
) -> None:
    bundle, signed, patch = (tmp_path / name for name in ("b.exl", "s.exl", "p.exlp"))
    key, other = new_key(), new_key()
    beside, keys = tmp_path / "p.exlp.minisig", [key.public.line]
    shutil.copy(bundles["native"], bundle)
    store_signature(bundles["aliases"], sign_bundle(bundles["aliases"], key), signed)
    write_patch(bundle, signed, patch)
    sound = sign_patch(patch, key).text_for("patch")

    def refuse(said: str, keys: Sequence[str] = keys, **how: Any) -> None:
        told: list[int] = []
        with pytest.raises(NotTrusted, match=said):
            update_bundle(bundle, patch, keys=keys, progress=lambda done, _: told.append(done), **how)
        assert not told
        assert bundle.read_bytes() == bundles["native"].read_bytes()

    refuse("the patch holds no signature, nor is there one in .*p.exlp.minisig", signed_patch=True)
    by_another = sign_patch(patch, other).text
    refuse("the patch is signed by key .* not one of the trusted", patch_signature=by_another.encode())
    refuse("or the patch, was changed", patch_signature=sound.replace("edgexl\n", "edgexL\n").encode())
    refuse("the patch's signature is none of minisign's", patch_signature=b"none")
    beside.write_text(by_another)
    refuse("not one of the trusted")
    beside.write_text(sign(b"another patch", key, "edgexl").text)
    refuse("or the patch, was changed")
    beside.write_text(sound)
    with pytest.raises(BadInput, match="means nothing without trusted_keys"):
        update_bundle(bundle, patch, signed_patch=True)
    update_bundle(bundle, patch, tmp_path / "a.exl", keys=keys, signed_patch=True)
    update_bundle(bundle, patch, tmp_path / "c.exl")  # and nobody asks who has signed it
    beside.unlink()
    update_bundle(bundle, patch, keys=keys)
    assert bundle.read_bytes() == (tmp_path / "a.exl").read_bytes() == signed.read_bytes()


def test_a_patch_is_verified_by_its_first_bytes(bundles: dict[str, Path], tmp_path: Path) -> None:
    patch, key = tmp_path / "p.exlp", new_key()
    write_patch(bundles["native"], bundles["aliases"], patch)
    head, signature = patch.read_bytes()[: HEADER.size], sign_patch(patch, key).text.encode()
    verify_patch(head, [new_key().public.line, key.public.line], signature)
    with pytest.raises(NotTrusted, match="not one of the trusted"):
        verify_patch(head, [new_key().public.line], signature)
    with pytest.raises(NotTrusted, match="or the patch, was changed"):
        verify_patch(head[:-1] + bytes([head[-1] ^ 1]), [key.public.line], signature)
    with pytest.raises(BadInput, match="ends inside its header"):
        verify_patch(head[:-1], [key.public.line], signature)
    with pytest.raises(BadInput, match="mean nothing without trusted_keys"):
        verify_patch(head, [], signature)


def change_labels(bundle: Path) -> None:
    with open_bundle(bundle) as handle:
        handle.add_labels(
            [NewLabel("N1", "red river horse", ("old king",)), NewLabel("N2", "salt"), NewLabel("N3", "x")]
        )
        handle.retire_labels(["N3", handle.label_id(7), handle.label_id(9)])
        handle.add_labels([NewLabel(handle.label_id(3), "winter bread")], replace=True)


def test_labels_are_carried_over(bundles: dict[str, Path], tmp_path: Path) -> None:
    tiny, bundle, patch = build(native=True), tmp_path / "b.exl", tmp_path / "p.exlp"
    shutil.copy(bundles["native"], bundle)
    change_labels(bundle)
    before = read_label_file(label_file_of(bundle))
    with open_bundle(bundle) as handle:
        answers = [handle.predict(text).labels for text in tiny.texts[:20]]
    write_patch(bundle, other_goldens(tiny, tmp_path / "new.exl", fewer), patch)
    with pytest.raises(BadInput, match="labels were added or retired"):
        update_bundle(bundle, patch, engine=False)
    report = update_bundle(bundle, patch)
    assert (report.added, report.retired, report.dropped) == (3, 2, 0)
    after = read_label_file(label_file_of(bundle))
    assert after.bundle_sha256 != before.bundle_sha256
    kept = {label.id: label for label in before.added if not label.retired}
    assert {label.id for label in after.added} == set(kept) == {"N1", "N2", tiny_id(bundle, 3)}
    for label in after.added:  # the screener is the same, and so are the codes that it makes
        assert (label.text, label.aliases, label.coarse, label.fine) == (
            kept[label.id].text, kept[label.id].aliases, kept[label.id].coarse, kept[label.id].fine,
        )  # fmt: skip
    assert sorted(after.retired_compiled) == sorted(before.retired_compiled) == [3, 7, 9]
    with open_bundle(bundle) as handle:
        assert [handle.predict(text).labels for text in tiny.texts[:20]] == answers
    assert not list(tmp_path.glob("*.next"))


def tiny_id(bundle: Path, number: int) -> str:
    with open_bundle(bundle, engine=False) as handle:
        return handle.label_id(number)


def test_a_label_that_the_new_bundle_has_is_no_addition_any_more(bundles: dict[str, Path], tmp_path: Path) -> None:
    bundle, patch = tmp_path / "b.exl", tmp_path / "p.exlp"
    old = build(native=True, labels=200).write(bundle)
    with open_bundle(bundles["native"], engine=False) as handle:
        same, other = ((handle.label_id(number), handle.label_text(number)) for number in (250, 260))
    with open_bundle(bundle) as handle:
        handle.add_labels([NewLabel(*same), NewLabel(other[0], "winter bread")])
    write_patch(old, bundles["native"], patch)
    report = update_bundle(bundle, patch)
    assert (report.added, report.dropped) == (1, 1)
    with open_bundle(bundle) as handle:
        assert handle.labels_info().labels == 300
        assert handle.label_state(handle.find_label(same[0])) == "compiled"
        assert handle.label_text(handle.find_label(other[0])) == "winter bread"
        assert handle.predict("winter bread").labels[0].id == other[0]


# Stands before the system's functions and ends the process at the call with the number $DIES, counted from 1, which is
# half done where it writes.
SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>
static int dies(void) {
    static int calls;
    return ++calls == atoi(getenv("DIES"));
}
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
ssize_t pwrite64(int file, const void *bytes, size_t length, off_t at) {
    if (dies()) {
        (void)!NEXT(pwrite64)(file, bytes, length / 2, at);
        _exit(9);
    }
    return NEXT(pwrite64)(file, bytes, length, at);
}
#define WATCH(name, parameters, arguments) \\
    int name parameters { \\
        if (dies()) \\
            _exit(9); \\
        return NEXT(name) arguments; \\
    }
int rename(const char *, const char *);
WATCH(fsync, (int file), (file))
WATCH(ftruncate64, (int file, off_t bytes), (file, bytes))
WATCH(rename, (const char *from, const char *to), (from, to))
WATCH(unlink, (const char *path), (path))
"""
PROGRAM = """
#include <stdio.h>
#include "edgexl.h"
int main(int argc, char **argv) {
    exl_error error = {.struct_size = sizeof error};
    if (exl_patch(argv[1], argv[argc - 1], NULL, NULL, NULL, &error) == EXL_OK)
        return 0;
    fprintf(stderr, "%s\\n", error.sentence);
    return 1;
}
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path, Path, int], int]:
    """Updates a bundle in a process of its own, which dies at the call of that number; gives its exit status."""
    directory = tmp_path_factory.mktemp("killed")
    (directory / "shim.c").write_text(SHIM)
    (directory / "program.c").write_text(PROGRAM)
    shared = ["cc", "-O1", "-shared", "-fPIC", "-D_FILE_OFFSET_BITS=64", "shim.c", "-o", "shim.so", "-ldl"]
    library = find_library()
    linked = ["cc", "program.c", f"-I{INCLUDE}", str(library), f"-Wl,-rpath,{library.parent}", "-o", "program"]
    for command in (shared, linked):
        subprocess.run(command, cwd=directory, check=True)

    def run(bundle: Path, patch: Path, dies: int) -> int:
        environment = {**os.environ, "LD_PRELOAD": str(directory / "shim.so"), "DIES": str(dies)}
        done = subprocess.run([directory / "program", bundle, patch], env=environment, timeout=60, check=False)
        return done.returncode

    return run


@pytest.mark.parametrize("with_labels", [False, True], ids=["bundle alone", "with labels"])
def test_a_kill_at_any_moment_leaves_the_old_bundle_or_the_new(
    bundles: dict[str, Path], killed: Callable[[Path, Path, int], int], tmp_path: Path, with_labels: bool
) -> None:
    tiny, patch, bundle = build(native=True), tmp_path / "p.exlp", tmp_path / "b.exl"
    new = other_goldens(tiny, tmp_path / "new.exl", fewer)
    write_patch(bundles["native"], new, patch)
    states = [hashlib.sha256(path.read_bytes()).digest() for path in (bundles["native"], new)]
    shutil.copy(bundles["native"], bundle)
    if with_labels:
        change_labels(bundle)
    labels = label_file_of(bundle)
    begin = labels.read_bytes() if with_labels else b""
    seen, dies, status = [], 0, 9
    while status == 9:
        dies += 1
        shutil.copy(bundles["native"], bundle)
        if with_labels:
            labels.write_bytes(begin)
        status = killed(bundle, patch, dies)
        seen.append(states.index(hashlib.sha256(bundle.read_bytes()).digest()))
        with open_bundle(bundle, engine=False) as handle:
            assert handle.labels_info().labels == 300
            if with_labels:
                assert handle.label_text(handle.find_label("N1")) == "red river horse"
                assert handle.label_state(7) == "retired"
        if seen[-1] == 0:  # what the killed one has left is in nobody's way
            assert killed(bundle, patch, -1) == 0
            assert hashlib.sha256(bundle.read_bytes()).digest() == states[1]
    assert status == 0
    assert dies > 20
    assert seen == sorted(seen)
    assert 0 in seen[:-1]
    assert 1 in seen[:-1]
    assert sorted(files(tmp_path)) == sorted(["b.exl", "new.exl", "p.exlp", *(["b.exl.labels"] * with_labels)])
