"""What a device's shell says of its system: one script for this machine, Linux by SSH and Android, and its reading."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Commands that Linux's small shells have, too: busybox's, and toybox's of Android.
PROBE = """
echo system="$(uname -s)"; echo machine="$(uname -m)"; page=$(getconf PAGE_SIZE 2>/dev/null)
if [ -z "$page" ]; then # busybox has no getconf
  page=$(sed -n 's/^KernelPageSize: *\\([0-9]*\\).*/\\1/p' /proc/self/smaps 2>/dev/null | head -n 1)
  page=${page:+$((page * 1024))}
fi
echo page="$page"
echo cores="$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null)"
android=$(getprop ro.build.version.sdk 2>/dev/null)
if [ -n "$android" ]; then echo libc="bionic, API level $android"
else echo libc="$(getconf GNU_LIBC_VERSION 2>/dev/null ||
  { command -v ldd && ldd --version 2>&1; } | grep -i libc | head -n 1)"; fi
echo memory="$(sed -n 's/^MemAvailable: *//p' /proc/meminfo 2>/dev/null)"
echo all_memory="$(sed -n 's/^MemTotal: *//p' /proc/meminfo 2>/dev/null)"
set -- $(df -Pk "${TMPDIR:-/tmp}" 2>/dev/null | tail -n 1); echo disk="$4"; echo file_system="$1"
cpu=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo 2>/dev/null | head -n 1)
echo cpu="${cpu:-$(sysctl -n machdep.cpu.brand_string 2>/dev/null)}"
board=$(getprop ro.product.model 2>/dev/null)
echo board="${board:-$(cat /proc/device-tree/model 2>/dev/null | tr -d '\\000')}"
echo release="$(getprop ro.build.version.release 2>/dev/null || sw_vers -productVersion 2>/dev/null || uname -r)"
"""
# Each line that comes in as the inside of a string of JSON; what is no character of text goes. By sed and tr alone.
ESCAPE = """
tab=$(printf '\\t')
escape() { tr -d '\\000-\\010\\013-\\037' | sed -e 's/\\\\/\\\\\\\\/g' -e 's/"/\\\\"/g' -e "s/$tab/\\\\\\\\t/g"; }
""".strip()


@dataclass(frozen=True)
class SystemFacts:
    """What a device says of itself; numbers are 0 and texts empty where it does not.

    `memory_bytes` and `disk_bytes` are free; the disk is that of its temporary folder, on `file_system`. `release`: of
    the system, as people name it, or of its kernel.
    """

    system: str
    machine: str
    cpu: str
    cores: int
    libc: str
    page_bytes: int
    memory_bytes: int
    disk_bytes: int
    all_memory_bytes: int = 0
    file_system: str = ""
    release: str = ""

    @property
    def name(self) -> str:
        """The device and its system as a person would call them: "Pixel 8, Android 15"."""
        known = {"Darwin": "macOS"}.get(self.system, self.system)
        system = "Android" if self.libc.startswith("bionic") else known
        return f"{self.cpu or self.machine}, {system} {self.release}".strip(", ")


def read_probe(printed: str) -> SystemFacts | None:
    """Of what `PROBE` printed; None where that tells nothing."""
    known = dict(line.split("=", 1) for line in printed.splitlines() if "=" in line)
    if not known.get("system"):
        return None
    number = {key: int(found[0]) if (found := re.findall(r"\d+", known.get(key, ""))) else 0 for key in known}
    return SystemFacts(
        system=known["system"],
        machine=known.get("machine", ""),
        cpu=_printable(known.get("board") or known.get("cpu") or ""),
        cores=number.get("cores", 0) or 1,
        libc=known.get("libc", ""),
        page_bytes=number.get("page", 0),
        memory_bytes=1024 * number.get("memory", 0),
        disk_bytes=1024 * number.get("disk", 0),
        all_memory_bytes=1024 * number.get("all_memory", 0),
        file_system=known.get("file_system", ""),
        release=_printable(known.get("release", "")),
    )


def _printable(text: str) -> str:
    return "".join(filter(str.isprintable, text)).strip()
