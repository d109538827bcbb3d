"""What a bundle says of itself: sizes from its sections, the rest from its manifest; checked, not believed."""

from __future__ import annotations

import os
from typing import Any

from edgexl.base.errors import BadInput
from edgexl.bundle.read import Bundle, read_bundle

_FROM_MANIFEST: dict[str, type] = {
    "shapes": dict, "engine": str, "recipe": dict, "target": dict, "ledger": list, "gates": list,
}  # fmt: skip
# What a pass says that not every compile has.
_TOLD = ("descriptions", "votes", "lexical", "blend", "calibration", "held_out", "vocabulary")


def inspect(
    path: str | os.PathLike[str], self_test: bool = False, labels_file: str | os.PathLike[str] | None = None
) -> dict[str, Any]:
    """The bundle's format, bytes a section, labels, shapes, engine, recipe, target, ledger and gates, what
    became of descriptions (`descriptions`), of the votes of a label's rows (`votes`) and of the lexical side
    (`lexical`), how its logits are blended (`blend`)
    and calibrated (`calibration`), and the model that encoded the labels where that was another than the student's own
    (`label_tower`). `held_out`: of labels that were compiled with an encoder, what the ledger's figures are measured
    on (`edgexl.data.held_out`). `vocabulary`: how many word pieces of the model's were kept, where it was cut.

    Every section's hash is checked. `self_test` also runs its goldens through the C runtime on this machine, under the
    key `self_test`; a `labels_file` is told of under its name: path, generation, labels, added, retired. Raises
    `BadInput` for a file that is no sound bundle, `GateFailed` where a golden's answer differs.
    """
    bundle = read_bundle(path, verify=True)
    _check_manifest(bundle)
    report: dict[str, Any] = {
        "format": f"{bundle.major}.{bundle.minor}",
        "bytes": {
            **{entry.name: entry.length for entry in bundle.entries},
            **({bundle.signed.name: bundle.signed.length} if bundle.signed else {}),
            "total": bundle.file_bytes,
        },
        "labels": bundle.parameters.labels,
        **{key: bundle.manifest[key] for key in _FROM_MANIFEST},
    }
    if "label_tower" in bundle.manifest:
        report["label_tower"] = bundle.manifest["label_tower"]
    report |= {key: bundle.manifest[key] for key in _TOLD if isinstance(bundle.manifest.get(key), dict)}
    if labels_file is not None:
        report["labels_file"] = _of_labels_file(path, labels_file)
    if self_test:
        from edgexl.runtime.binding import open_bundle

        with open_bundle(path, compiled_only=True) as handle:
            report["self_test"] = handle.self_test()
    return report


def inspect_rules(student: str) -> list[dict[str, Any]]:
    """The fusion rules of lowering, in order: each `rule` and its `pattern`, and how often it finds that in the
    student's `screener` and `reasoner`, exported and quantized to int8. Raises `BadInput` where the native engine does
    not cover them."""
    from edgexl.compiler.lowering import RULES, lower_graph
    from edgexl.compiler.passes.export import Export
    from edgexl.compiler.passes.quantize import Quantize
    from edgexl.compiler.pipeline import begin
    from edgexl.compiler.recipe import CalibrateRecipe, IndexRecipe, Recipe
    from edgexl.student.student import load_student
    from edgexl.target import load_target

    index, target = IndexRecipe(aliases=False, descriptions="none"), load_target("host")
    recipe = Recipe("rules", engine="native", index=index, calibrate=CalibrateRecipe("none"))
    made = Export().run(begin(load_student(student), recipe, target))
    made = Quantize(recipe, target).run(made)
    sizes = made.shapes.max_tokens, made.shapes.shortlist
    screener, reasoner = (lower_graph(model, *sizes).rules for model in (made.graphs.screener, made.graphs.reasoner))
    return [
        {"rule": rule.name, "screener": screener[rule.name], "reasoner": reasoner[rule.name], "pattern": rule.pattern}
        for rule in RULES
    ]


def _check_manifest(bundle: Bundle) -> None:
    """Refuse a manifest that lacks what a compile writes into it, or holds it in another shape."""
    manifest = bundle.manifest
    for key, kind in _FROM_MANIFEST.items():
        if key not in manifest:
            raise BadInput(f"{bundle.path}: the manifest lacks '{key}'; compile the bundle again.")
        value = manifest[key]
        rows = value if kind is list and isinstance(value, list) else ()
        named = key not in ("recipe", "target") or isinstance(value.get("name") if isinstance(value, dict) else 0, str)
        if not isinstance(value, kind) or not all(isinstance(row, dict) for row in rows) or not named:
            raise BadInput(f"{bundle.path}: the manifest's '{key}' is not what a compile writes; compile it again.")
    tower = manifest.get("label_tower", {"model": ""})
    if not isinstance(tower, dict) or not isinstance(tower.get("model"), str):
        raise BadInput(f"{bundle.path}: the manifest's 'label_tower' is not what a compile writes; compile it again.")
    held_out = manifest.get("held_out", {"measured_on": ""})
    if not isinstance(held_out, dict) or not isinstance(held_out.get("measured_on"), str):
        raise BadInput(f"{bundle.path}: the manifest's 'held_out' is not what a compile writes; compile it again.")
    if not all("seconds" in row and isinstance(row.get("pass"), str) for row in manifest["ledger"]):
        raise BadInput(f"{bundle.path}: the manifest's 'ledger' is not what a compile writes; compile it again.")


def _of_labels_file(path: str | os.PathLike[str], labels_file: str | os.PathLike[str]) -> dict[str, Any]:
    from edgexl.runtime.binding import open_bundle

    with open_bundle(path, engine=False, labels_path=labels_file) as handle:
        known = handle.labels_info()
    return {
        "path": os.fspath(labels_file),
        "generation": known.generation,
        "labels": known.labels,
        "added": known.added,
        "retired": known.retired_compiled + known.retired_added,
    }
