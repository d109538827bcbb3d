"""What a pass is: a frozen configuration that adds something to the artifact, and declares all that the pipeline knows
of it.

To add a pass, write its class in a file of its own here, named by its verb, its test in tests/compiler/passes, and put
it into the list of `edgexl.compiler.pipeline.run_passes`.
"""

from __future__ import annotations

from typing import ClassVar

from edgexl.compiler.artifact import Artifact


class Pass:
    """A step of the compiler. `needs` and `adds` are parts of the artifact (its fields' names), which are there before
    and after it. `judged`: the recipe's gates on accuracy look at its row of the ledger. `tells`: it tells its progress
    itself."""

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    adds: ClassVar[tuple[str, ...]] = ()
    judged: ClassVar[bool] = False
    tells: ClassVar[bool] = False

    @property
    def measured(self) -> bool:
        """Whether labels may come in another order after it; else its row repeats what was known before."""
        return False

    def run(self, artifact: Artifact) -> Artifact:
        """The artifact with what the pass adds."""
        raise NotImplementedError


def run_pass(step: Pass, artifact: Artifact) -> Artifact:
    """Run a pass. Raises `RuntimeError` naming it where what it needs is not there, or it does not add what it says."""
    if missing := [part for part in step.needs if not artifact.has(part)]:
        raise RuntimeError(f"The pass {step.name} needs {missing[0]}, which no pass before it has added.")
    artifact = step.run(artifact)
    if missing := [part for part in step.adds if not artifact.has(part)]:
        raise RuntimeError(f"The pass {step.name} says that it adds {missing[0]}, and did not.")
    return artifact
