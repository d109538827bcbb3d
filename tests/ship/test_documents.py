"""Bills of materials, notices and READMEs, and what a product is refused for."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from edgexl.base.errors import BadInput
from edgexl.ship.documents import licenses, write_bill, write_notices
from edgexl.ship.product import Product, open_product
from edgexl.ship.readme import Section, write_readme
from tests.command_line import Edgexl
from tests.runtime.tiny_bundle import build


def test_the_bill_names_code_model_and_data(product: Product) -> None:
    bill = json.loads(write_bill(product, "linux", ("musl",)))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", bill["serialNumber"])
    components = {each["bom-ref"]: each for each in bill["components"]}
    assert {ref: each["type"] for ref, each in components.items()} == {
        "edgexl": "library",
        "musl": "library",
        "model:tiny-words": "machine-learning-model",
        "labels:tiny-words": "data",
    }
    assert components["model:tiny-words"]["hashes"] == [{"alg": "SHA-256", "content": product.sha256}]
    assert components["model:tiny-words"]["licenses"] == [{"expression": "CC0-1.0"}]
    refs = {"package", *components}
    for each in bill["dependencies"]:
        assert {each["ref"], *each["dependsOn"]} <= refs
    assert write_bill(product, "linux", ("musl",)) == write_bill(product, "linux", ("musl",))
    assert write_bill(product, "linux", ()) != write_bill(product, "linux", ("musl",))


def test_the_notices_hold_all_that_wants_to_be_said(product: Product) -> None:
    said = write_notices((), product).decode()
    assert licenses()["NOTICE"].decode().strip() in said
    assert "Words by the testers." in said
    pytest.importorskip("ziglang", reason="PyPI's ziglang is not installed (the extra `cross`)")
    assert "Rich Felker" in write_notices(("musl",)).decode()


def test_the_readme_says_until_when_and_under_what(product: Product) -> None:
    said = write_readme(product, "C", "It needs C.", (Section("One", "Two."),)).decode()
    assert said.startswith("# tiny-words 1.2.3 for C\n")
    assert "## One\n\nTwo.\n" in said
    assert "supported until 2030-01-01" in said
    assert "Model and data: CC0-1.0." in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "json"}, "module json"),
        ({"name": "Tiny"}, "no name for packages"),
        ({"name": "a--b"}, "no name for packages"),
        ({"version": "1"}, "no version"),
        ({"vendor": "me"}, "no vendor"),
        ({"notices": Path("/no/such/file")}, "file"),
    ],
)
def test_what_a_platform_would_refuse_is_refused(bundle: Path, options: dict[str, str], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        open_product(bundle, **options)  # type: ignore[arg-type]


def test_a_bundle_for_onnx_runtime_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="the engine ort"):
        open_product(build().write(tmp_path / "tiny.exl"))


def test_the_command_tells_what_it_wrote(bundle: Path, edgexl: Edgexl, tmp_path: Path) -> None:
    said = edgexl("ship", bundle, "--platform", "c-source", "-o", tmp_path / "out", "--json")
    assert said.status == 0
    written = {Path(each["path"]).name: each["bytes"] for each in said.json["files"]}
    assert written == {path.name: path.stat().st_size for path in (tmp_path / "out").iterdir()}
    wrong = edgexl("ship", bundle, "--platform", "c-sauce", "-o", tmp_path / "out")
    assert (wrong.status, "c-source" in wrong.err) == (2, True)
