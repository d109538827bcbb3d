"""Cores and caches out of what Linux prints of them."""

from __future__ import annotations

from edgexl.device.cpus import PROBE_CPUS, read_cpus
from edgexl.device.local import this_machine
from edgexl.target import Cluster


def arm(parts: list[int], features: str = "fp asimd evtstrm") -> str:
    return "".join(
        f"processor\t: {number}\nBogoMIPS\t: 108.00\nFeatures\t: {features}\nCPU implementer\t: 0x41\n"
        f"CPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: {part:#x}\nCPU revision\t: 3\n\n"
        for number, part in enumerate(parts)
    )


def clocks(khz: list[int]) -> str:
    return "".join(f"cpu{number}/cpufreq/cpuinfo_max_freq:{each}\n" for number, each in enumerate(khz))


def caches(number: int, sizes: list[str]) -> str:
    places = [(1, "Data"), (1, "Instruction"), (2, "Unified"), (3, "Unified")]
    return "".join(
        f"cpu{number}/cache/index{index}/level:{level}\ncpu{number}/cache/index{index}/type:{kind}\n"
        f"cpu{number}/cache/index{index}/size:{size}\n"
        for index, ((level, kind), size) in enumerate(zip(places, sizes, strict=False))
    )


def test_a_raspberry_pi_4() -> None:
    printed = arm([0xD08] * 4) + "Revision\t: c03114\n\nallowed : 0-3\natom : \n" + clocks([1_800_000] * 4)
    found = read_cpus(printed + caches(0, ["32K", "48K", "1024K"]), 1)
    assert found.clusters == (Cluster("Cortex-A72", 4, 1800, one_thread=True),)
    assert (found.fastest, found.caches) == (0, {"L1": 32 << 10, "L2": 1 << 20})
    assert found.features == {"fp", "asimd", "evtstrm"}


def test_a_phone_with_three_kinds_of_cores() -> None:
    parts = [0xD05] * 4 + [0xD41] * 3 + [0xD44]
    khz = [1_803_000] * 4 + [2_253_000] * 3 + [2_802_000]
    capacity = "".join(f"cpu{at}/cpu_capacity:{each}\n" for at, each in enumerate([170] * 4 + [740] * 3 + [1024]))
    printed = arm(parts) + "\nallowed : 0-7\natom : \n" + clocks(khz) + capacity
    found = read_cpus(printed + caches(0, ["1K"]) + caches(7, ["64K", "64K", "1M", "8M"]), 1)
    assert found.clusters == (
        Cluster("Cortex-A55", 4, 1803), Cluster("Cortex-A78", 3, 2253), Cluster("Cortex-X1", 1, 2802, one_thread=True),
    )  # fmt: skip
    assert found.fastest == 7
    assert found.caches == {"L1": 64 << 10, "L2": 1 << 20, "L3": 8 << 20}


def test_cores_that_this_process_may_not_use_do_not_count() -> None:
    printed = arm([0xD05] * 4 + [0xD44]) + "\nallowed : 1,3\natom : \n" + clocks([1_000_000] * 4 + [3_000_000])
    found = read_cpus(printed, 1)
    assert found.clusters == (Cluster("Cortex-A55", 2, 1000, one_thread=True),)
    assert found.fastest == 1


def test_x86_with_efficient_cores() -> None:
    printed = "".join(
        f"processor\t: {number}\nmodel name\t: A Core\ncpu MHz\t\t: 1200.5\nflags\t\t: fpu avx2\n\n"
        for number in range(6)
    )
    found = read_cpus(printed + "\nallowed : 0-5\natom : 2-5\n" + clocks([4_900_000, 5_000_000] + [3_800_000] * 4), 1)
    assert found.clusters == (Cluster("A Core", 2, 5000, one_thread=True), Cluster("A Core", 4, 3800))
    # what follows an empty list is not taken for one
    found = read_cpus(printed + "\nallowed : 0-5\natom : \ncpu0/cpu_capacity:1024\n", 1)
    assert found.clusters == (Cluster("A Core", 6, 1200, one_thread=True),)


def test_what_is_not_told_is_not_made_up() -> None:
    found = read_cpus("", 3)
    assert found.clusters == (Cluster("unknown", 3, 0, one_thread=True),)
    assert (found.caches, found.features) == ({}, frozenset())
    assert read_cpus(arm([0xFFF]), 1).clusters[0].core == "part 0xfff of implementer 0x41"


def test_this_machine_tells() -> None:
    found = read_cpus(this_machine().run_shell(PROBE_CPUS), 1)
    assert sum(cluster.cores for cluster in found.clusters) == this_machine().facts().cores
    assert found.features
