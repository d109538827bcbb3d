"""What papers report, with the conditions that make their rows another measurement than ours."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A system's figures by the names that `Task.judge` gives them; `source` and `conditions` in words."""

    system: str
    figures: dict[str, float]
    source: str
    conditions: str


_WORDS = "200 descriptions written by people, over some 50,000 words"
_ZHANG, _QI = "Zhang et al., AAAI 2020", "Qi et al., EMNLP 2020 (demonstrations)"
DICTIONARY = tuple(
    Published(system, dict(zip(("median", "acc@1", "acc@10", "acc@100"), figures, strict=True)), source, _WORDS)
    for system, figures, source in (
        ("OneLook", (5.5, 0.33, 0.54, 0.76), _ZHANG),
        ("Multi-channel", (2, 0.32, 0.64, 0.88), _ZHANG),
        ("WantWords", (2, 0.36, 0.75, 0.92), _QI),
    )
)
_NAMES = "test part; the training mentions are names, too"
LINKING: dict[str, tuple[Published, ...]] = {
    "ncbi-disease": (
        Published("BioSyn (BERT)", {"acc@1": 0.911}, "Sung et al., ACL 2020", _NAMES),
        Published("ResCNN, 60 times smaller", {"acc@1": 0.924}, "Lai et al., Findings of EMNLP 2021", _NAMES),
    ),
    "bc5cdr-disease": (
        Published("ResCNN, 60 times smaller", {"acc@1": 0.940}, "Lai et al., Findings of EMNLP 2021", _NAMES),
    ),
}
