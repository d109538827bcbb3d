"""`edgexl diff` and `edgexl patch`: what they print, and how they refuse."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.command_line import Edgexl
from tests.runtime.tiny_bundle import build


def test_a_bundle_is_updated(tmp_path: Path, edgexl: Edgexl) -> None:
    old, new = tmp_path / "old.exl", build(native=True, labels=310).write(tmp_path / "new.exl")
    build(native=True).write(old)
    bundle, patch = tmp_path / "b.exl", tmp_path / "p.exlp"
    shutil.copy(old, bundle)
    edgexl("labels", "add", bundle, "N1", "red river horse")

    made = edgexl("diff", old, new, "-o", patch, "--json").json
    assert made.pop("seconds") > 0
    assert made.pop("share") == made["patch_bytes"] / made["new_bytes"]
    assert "fine_codes" in made.pop("changed")
    sizes = [path.stat().st_size for path in (patch, old, new)]
    assert made == dict(zip(("patch_bytes", "old_bytes", "new_bytes"), sizes, strict=True))
    assert "changed: parameters" in edgexl("diff", old, new, "-o", patch).out

    updated = edgexl("patch", bundle, patch, "--json").json
    assert updated == {"new_bytes": sizes[2], "added": 1, "retired": 0, "dropped": 0}
    assert bundle.read_bytes() == new.read_bytes()
    assert edgexl("run", bundle, "red river horse", "--json").json["labels"][0]["id"] == "N1"
    shutil.copy(old, bundle)
    Path(f"{bundle}.labels").unlink()
    edgexl("labels", "retire", bundle, "L0004")
    assert "0 stay added and 1 retired" in edgexl("patch", bundle, patch).out

    edgexl("patch", bundle, patch, "--signed-patch").refuses(2, "means nothing without trusted_keys")
    edgexl("patch", bundle, patch).refuses(2, "b.exl", "already the one that the patch makes")
    edgexl("patch", patch, patch).refuses(2, "made for another bundle")
    edgexl("patch", bundle, tmp_path / "none").refuses(2, "the patch", "cannot be read")
    edgexl("diff", old, old, "-o", patch).refuses(2, "are the same bundle")
    edgexl("diff", patch, old, "-o", patch).refuses(2, "is not an edgexl bundle")


def test_a_patch_is_signed(tmp_path: Path, edgexl: Edgexl) -> None:
    old, new, patch = tmp_path / "old.exl", tmp_path / "new.exl", tmp_path / "p.exlp"
    key, public, beside = tmp_path / "shop.key", tmp_path / "shop.pub", tmp_path / "p.exlp.minisig"
    build(native=True).write(old)
    build(native=True, labels=310).write(new)
    name = edgexl("keys", "new", key, "--no-password", "--json").json["key"]
    edgexl("sign", new, "--key", key, "--version", "2")
    made = edgexl("diff", old, new, "-o", patch, "--key", key, "--json").json
    assert made["signature"] == str(beside)
    text = beside.read_text()
    assert text.startswith("untrusted comment: signature of an edgexl patch\n")
    edgexl("diff", old, new, "-o", patch)
    assert edgexl("sign", patch, "--key", key, "--json").json == {
        "path": str(beside), "bytes": len(text), "key": name, "version": 0,
    }  # fmt: skip
    assert beside.read_text() == text
    assert edgexl("sign", patch, "--signed-bytes", tmp_path / "head", "--json").json["bytes"] == 160
    assert patch.read_bytes().startswith((tmp_path / "head").read_bytes())
    verified = edgexl("verify", patch, "--key", public, "--json").json
    assert (verified["patch"], verified["key"], verified["bytes"]) == (str(patch), name, patch.stat().st_size)
    assert f"signed by key {name}; all" in edgexl("verify", patch, "--key", public).out

    edgexl("sign", patch, "--key", key, "--version", "3").refuses(2, "A patch has no version")
    edgexl("sign", patch, "--signature", beside).refuses(2, "is not stored in it", "p.exlp.minisig")
    edgexl("verify", patch, "--key", public, "--least-version", "1").refuses(2, "A patch has no version")
    edgexl("diff", old, new, "-o", patch, "--password-file", public).refuses(2, "give --key, too")
    edgexl("keys", "new", tmp_path / "other.key", "--no-password")
    edgexl("patch", old, patch, "--key", tmp_path / "other.pub").refuses(2, "not one of the trusted")
    damaged = bytearray(patch.read_bytes())
    damaged[-1] ^= 1
    (tmp_path / "d.exlp").write_bytes(damaged)
    shutil.copy(beside, tmp_path / "d.exlp.minisig")
    edgexl("verify", tmp_path / "d.exlp", "--key", public).refuses(2, "is damaged")
    beside.unlink()
    edgexl("verify", patch, "--key", public).refuses(2, "there is no signature of it")
    edgexl("patch", old, patch, "--key", public, "--signed-patch").refuses(2, "holds no signature")
    edgexl("patch", old, patch, "--key", public, "--least-version", "2")
    assert old.read_bytes() == new.read_bytes()
