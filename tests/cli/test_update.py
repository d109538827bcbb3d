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

    edgexl("patch", bundle, patch).refuses(2, "b.exl", "already the one that the patch makes")
    edgexl("patch", patch, patch).refuses(2, "made for another bundle")
    edgexl("patch", bundle, tmp_path / "none").refuses(2, "the patch", "cannot be read")
    edgexl("diff", old, old, "-o", patch).refuses(2, "are the same bundle")
    edgexl("diff", patch, old, "-o", patch).refuses(2, "is not an edgexl bundle")
