"""Which cores a device has: Linux's /proc/cpuinfo and /sys read into clusters and caches."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from edgexl.target import Cluster, LevelName

# What is printed: cpuinfo as it is, then "path:value" lines below /sys/devices/system/cpu.
PROBE_CPUS = """
cat /proc/cpuinfo 2>/dev/null; echo; sed -n 's/^Cpus_allowed_list:/allowed :/p' /proc/self/status
echo "atom : $(cat /sys/devices/cpu_atom/cpus 2>/dev/null)"
cd /sys/devices/system/cpu 2>/dev/null || exit 0
for file in cpu[0-9]*/cpufreq/cpuinfo_max_freq cpu[0-9]*/cpu_capacity cpu[0-9]*/cache/index*/level \\
  cpu[0-9]*/cache/index*/type cpu[0-9]*/cache/index*/size; do
  [ -r "$file" ] && echo "$file:$(cat "$file" 2>/dev/null)"
done
exit 0
"""
# (implementer, part) of Arm's main ID register -> the core: Linux's arch/arm64/include/asm/cputype.h.
_ARM_CORES = {
    (0x41, 0xD03): "Cortex-A53", (0x41, 0xD04): "Cortex-A35", (0x41, 0xD05): "Cortex-A55", (0x41, 0xD07): "Cortex-A57",
    (0x41, 0xD08): "Cortex-A72", (0x41, 0xD09): "Cortex-A73", (0x41, 0xD0A): "Cortex-A75", (0x41, 0xD0B): "Cortex-A76",
    (0x41, 0xD0C): "Neoverse-N1", (0x41, 0xD0D): "Cortex-A77", (0x41, 0xD40): "Neoverse-V1",
    (0x41, 0xD41): "Cortex-A78", (0x41, 0xD44): "Cortex-X1", (0x41, 0xD46): "Cortex-A510",
    (0x41, 0xD47): "Cortex-A710", (0x41, 0xD48): "Cortex-X2", (0x41, 0xD49): "Neoverse-N2",
    (0x41, 0xD4B): "Cortex-A78C", (0x41, 0xD4D): "Cortex-A715", (0x41, 0xD4E): "Cortex-X3",
    (0x41, 0xD4F): "Neoverse-V2", (0x41, 0xD80): "Cortex-A520", (0x41, 0xD81): "Cortex-A720",
    (0x41, 0xD82): "Cortex-X4", (0x41, 0xD85): "Cortex-X925", (0x41, 0xD87): "Cortex-A725",
}  # fmt: skip
_LEVELS: tuple[LevelName, ...] = ("L1", "L2", "L3")


@dataclass(frozen=True)
class Cpus:
    """`clusters`, the fastest of them marked; `fastest`: Linux's number of a core there, and its `caches`' bytes;
    `features` as Linux names them."""

    clusters: tuple[Cluster, ...]
    fastest: int
    caches: dict[LevelName, int]
    features: frozenset[str]


def read_cpus(printed: str, cores: int) -> Cpus:
    """Of what `PROBE_CPUS` printed; `cores` are so many where it names none."""
    info, system = _parse_info(printed), dict(re.findall(r"^(cpu\d+/\S+?):(.*)$", printed, re.MULTILINE))
    known = dict(re.findall(r"^(allowed|atom) :[ \t]*(\S*)$", printed, re.MULTILINE))
    allowed = set(_numbers(known.get("allowed", "")))
    efficient = set(_numbers(known.get("atom", "")))
    numbers = [number for number in info if not allowed or number in allowed] or list(range(cores))
    groups: dict[tuple[str, bool, int, int], list[int]] = {}
    for number in numbers:
        name = _name_core(info.get(number, {}))
        khz = _number(system.get(f"cpu{number}/cpufreq/cpuinfo_max_freq"))
        # of one kind of x86's cores, some may go a little faster than others
        kind = (
            (0, 0) if "model name" in info.get(number, {}) else (khz, _number(system.get(f"cpu{number}/cpu_capacity")))
        )
        groups.setdefault((name, number in efficient, *kind), []).append(number)
    measured = [
        (_fastest_mhz(members, info, system), capacity, not slow, name, members)
        for (name, slow, _, capacity), members in groups.items()
    ]
    best = max(range(len(measured)), key=lambda at: (measured[at][2], measured[at][1], measured[at][0], -at))
    clusters = tuple(
        Cluster(name, len(members), mhz, one_thread=at == best)
        for at, (mhz, _, _, name, members) in enumerate(measured)
    )
    fastest = measured[best][4][0]
    features = frozenset(next((words.split() for one in info.values() if (words := _feature_words(one))), []))
    return Cpus(clusters, fastest, _caches(fastest, system), features)


def _parse_info(printed: str) -> dict[int, dict[str, str]]:
    """cpuinfo's tables by the processor's number."""
    found: dict[int, dict[str, str]] = {}
    for part in re.split(r"\n\s*\n", printed):
        table = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in part.splitlines())}
        if table.get("processor", "").isdigit():
            found[int(table["processor"])] = table
    return found


def _feature_words(table: dict[str, str]) -> str:
    return table.get("flags") or table.get("Features") or ""


def _name_core(table: dict[str, str]) -> str:
    if name := table.get("model name"):
        return name
    try:
        implementer, part = int(table["CPU implementer"], 16), int(table["CPU part"], 16)
    except (KeyError, ValueError):
        return "unknown"
    return _ARM_CORES.get((implementer, part), f"part {part:#x} of implementer {implementer:#x}")


def _fastest_mhz(members: Iterable[int], info: dict[int, dict[str, str]], system: dict[str, str]) -> int:
    told = max(_number(system.get(f"cpu{number}/cpufreq/cpuinfo_max_freq")) for number in members) // 1000
    return told or round(max(float(info.get(number, {}).get("cpu MHz") or 0) for number in members))


def _caches(number: int, system: dict[str, str]) -> dict[LevelName, int]:
    found: dict[LevelName, int] = {}
    for index in range(8):
        place = f"cpu{number}/cache/index{index}"
        level = _number(system.get(f"{place}/level"))
        size = re.fullmatch(r"(\d+)([KMG]?)", system.get(f"{place}/size", "").strip())
        if size and 1 <= level <= len(_LEVELS) and system.get(f"{place}/type", "").strip() != "Instruction":
            found[_LEVELS[level - 1]] = int(size[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[size[2]]
    return found


def _numbers(listed: str) -> list[int]:
    """[0, 1, 2, 5] of "0-2,5"."""
    found: list[int] = []
    for low, high in re.findall(r"(\d+)(?:-(\d+))?", listed):
        found += range(int(low), int(high or low) + 1)
    return found


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.strip().isdigit() else 0
