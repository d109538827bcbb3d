"""A real ARM Linux for tests: Debian for arm64, made by debootstrap, booted by qemu-system-aarch64 and reached by SSH.

The disk is made once and kept in the user's cache: what debootstrap fetches is unpacked and never configured, for its
init is a script that starts sshd and nothing else. Each boot has a disk of its own that forgets what was written.
"""

from __future__ import annotations

import contextlib
import hashlib
import lzma
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgexl.base.directories import write_directory
from edgexl.base.fetch import cache_directory

EMULATOR = "qemu-system-aarch64"
BOOT_S = 180
PACKAGES = ("openssh-server", "busybox-static", "linux-image-arm64")
# Drivers that the kernel has as modules, in this order; what they depend on is found out. ext4 checks by crc32c.
MODULES = ("virtio_pci", "virtio_mmio", "virtio_blk", "virtio_net", "virtio_rng", "crc32c_generic", "ext4")
DISK_MB = 1024
_ADDRESS, _GATEWAY = "10.0.2.15/24", "10.0.2.2"

_FIRST_INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /root
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs dev /dev
for module in /modules/*; do /bin/busybox insmod "$module"; done
/bin/busybox mount -t ext4 /dev/vda /root && exec /bin/busybox switch_root /root /sbin/edgexl-init
echo "edgexl: the disk cannot be mounted"
exec /bin/busybox poweroff -f
"""
_INIT = f"""#!/bin/busybox sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
busybox mount -t proc proc /proc
busybox mount -t sysfs sysfs /sys
busybox mount -t devtmpfs dev /dev
busybox mkdir -p /dev/pts /run/sshd
busybox mount -t devpts devpts /dev/pts
busybox hostname arm
busybox ip link set lo up
busybox ip link set eth0 up
busybox ip address add {_ADDRESS} dev eth0
busybox ip route add default via {_GATEWAY}
/usr/sbin/sshd -e
echo "edgexl: sshd is up"
while true; do busybox sleep 1000; done
"""
_SSHD = """HostKey /etc/ssh/host
AuthorizedKeysFile /etc/ssh/authorized
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
StrictModes no
"""
_PASSWD = """root:x:0:0:root:/root:/bin/sh
sshd:x:100:65534::/run/sshd:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""


@dataclass(frozen=True)
class ArmLinux:
    """Its `address`, the `config` with which the OpenSSH client reaches it, and the seconds that it took to boot."""

    address: str
    config: Path
    boot_s: float


def why_no_arm_linux() -> str:
    """Why none can be made and booted here, with what to do; empty where one can be."""
    commands = {
        EMULATOR: "qemu-system-arm", "debootstrap": "debootstrap", "mke2fs": "e2fsprogs", "dpkg-deb": "dpkg",
        "ssh-keygen": "openssh-client", "apt-get": "apt",
    }  # fmt: skip
    missing = sorted(package for command, package in commands.items() if _find(command) is None)
    if missing:
        return f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed"
    if not (_image_folder() / "disk").exists():
        if os.geteuid() != 0:
            return "debootstrap needs root to make the disk of an ARM Linux"
        if _find_mirror() is None:
            return "apt's sources name no Debian, from which an ARM Linux could be made"
    return ""


@contextlib.contextmanager
def boot(folder: Path) -> Iterator[ArmLinux]:
    """Boot one, with what it needs in `folder`, and end it afterwards."""
    image = _image_folder()
    if not (image / "disk").exists():
        _make_image(image)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    key = folder / "user"
    shutil.copyfile(image / "user", key)
    key.chmod(0o600)
    host = (image / "host.pub").read_text().rsplit(" ", 1)[0]
    (folder / "known").write_text(f"[127.0.0.1]:{port} {host}\n")
    (folder / "config").write_text(
        f"Host *\n  User root\n  IdentityFile {key}\n  UserKnownHostsFile {folder / 'known'}\n"
    )
    words = [
        EMULATOR, "-M", "virt", "-cpu", "cortex-a72", "-smp", "2", "-m", "1024", "-nographic", "-no-reboot",
        "-accel", "tcg,thread=multi", "-kernel", str(image / "kernel"), "-initrd", str(image / "initrd"),
        "-append", "console=ttyAMA0 quiet panic=-1",
        "-drive", f"file={image / 'disk'},format=raw,if=none,id=disk,snapshot=on",
        "-device", "virtio-blk-pci,drive=disk", "-device", "virtio-rng-pci",
        "-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22",
        "-device", "virtio-net-pci,netdev=net,romfile=",
    ]  # fmt: skip
    log = folder / "console"
    begin = time.monotonic()
    with log.open("wb") as stream:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream)
    try:
        _await(port, process, log)
        yield ArmLinux(f"ssh://127.0.0.1:{port}", folder / "config", time.monotonic() - begin)
    finally:
        process.kill()
        process.wait()


def _await(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until sshd says that it is one."""
    deadline = time.monotonic() + BOOT_S
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as line:
            if line.recv(4) == b"SSH-":
                return
        assert process.poll() is None, log.read_text(errors="replace")[-2000:]
        assert time.monotonic() < deadline, log.read_text(errors="replace")[-2000:]
        time.sleep(0.5)


def _image_folder() -> Path:
    made_of = (PACKAGES, MODULES, DISK_MB, _FIRST_INIT, _INIT, _SSHD, _PASSWD)
    return cache_directory() / "arm-linux" / hashlib.sha256(repr(made_of).encode()).hexdigest()[:16]


def _make_image(place: Path) -> None:
    """kernel, initrd, disk, and the keys of its sshd and of its only user."""
    mirror = _find_mirror()
    assert mirror is not None
    with write_directory(place) as folder:
        root = folder / "root"
        suite, uri = mirror
        _call("debootstrap", "--arch", "arm64", "--foreign", "--variant", "minbase",
              "--include", ",".join(PACKAGES), suite, str(root), uri)  # fmt: skip
        for package in sorted((root / "var/cache/apt/archives").glob("*.deb")):
            with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE) as unpacked:
                # directories that are links into /usr stay such
                _call("tar", "-C", str(root), "-x", "--keep-directory-symlink", stdin=unpacked.stdout)
        [kernel] = (root / "boot").glob("vmlinuz-*")
        shutil.copyfile(kernel, folder / "kernel")
        [modules] = (root / "lib/modules").iterdir()
        _write_initrd(folder / "initrd", modules, root)
        _write_system(root, folder)
        for useless in ("boot", "lib/modules", "var/cache", "var/lib/apt", "debootstrap", "usr/share/doc",
                        "usr/share/locale", "usr/share/man"):  # fmt: skip
            shutil.rmtree(root / useless, ignore_errors=True)
        _call("mke2fs", "-q", "-t", "ext4", "-d", str(root), str(folder / "disk"), f"{DISK_MB}M")
        shutil.rmtree(root)


def _write_system(root: Path, folder: Path) -> None:
    for name in ("host", "user"):
        _call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "arm", "-f", str(folder / name))
    files = {
        "sbin/edgexl-init": (_INIT, 0o755), "etc/passwd": (_PASSWD, 0o644), "etc/group": ("root:x:0:\n", 0o644),
        "etc/shadow": ("root:*:19000:0:99999:7:::\n", 0o640), "etc/ssh/sshd_config": (_SSHD, 0o644),
        "etc/ssh/host": ((folder / "host").read_text(), 0o600),
        "etc/ssh/authorized": ((folder / "user.pub").read_text(), 0o644),
    }  # fmt: skip
    for name, (content, mode) in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
        (root / name).chmod(mode)
    (root / "tmp").chmod(0o1777)
    for name in ("proc", "sys", "dev"):  # in a root that is not configured, some of them are links
        if (root / name).is_symlink():
            (root / name).unlink()
        (root / name).mkdir(exist_ok=True)


def _write_initrd(place: Path, modules: Path, root: Path) -> None:
    """An archive in cpio's newc format, as the kernel reads it, with busybox, the modules in order, and their init."""
    found = {path.name.split(".ko")[0].replace("-", "_"): path for path in modules.rglob("*.ko*")}
    files: list[tuple[str, bytes, int]] = [("bin", b"", 0o040755), ("modules", b"", 0o040755), ("dev", b"", 0o040755)]
    files += [
        (f"modules/{at:02}-{name}.ko", _read_module(found[name]), 0o100644)
        for at, name in enumerate(_order(MODULES, found))
    ]
    files += [
        ("bin/busybox", (root / "bin/busybox").read_bytes(), 0o100755), ("init", _FIRST_INIT.encode(), 0o100755),
    ]  # fmt: skip
    with place.open("wb") as stream:
        for at, (name, content, mode) in enumerate([*files, ("TRAILER!!!", b"", 0)]):
            numbers = (at + 1, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
            head = b"070701" + b"".join(b"%08X" % number for number in numbers) + name.encode() + b"\0"
            stream.write(head + b"\0" * (-len(head) % 4) + content + b"\0" * (-len(content) % 4))


def _order(wanted: Sequence[str], found: dict[str, Path]) -> list[str]:
    """The modules with those that they depend on before them; what is no module is a part of the kernel."""
    ordered: list[str] = []
    for name in wanted:
        if name not in found:
            continue
        depends = re.search(rb"\0depends=([^\0]*)\0", _read_module(found[name]))
        before = depends[1].decode().replace("-", "_").split(",") if depends and depends[1] else []
        ordered += [each for each in (*_order(before, found), name) if each not in ordered]
    return ordered


def _read_module(path: Path) -> bytes:
    return lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()


def _find_mirror() -> tuple[str, str] | None:
    """(release, address) of the Debian that this machine's packages come from."""
    done = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(CODENAME)|$(REPO_URI)", "Created-By: Packages"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    for line in done.stdout.splitlines():
        origin, release, uri = line.split("|")
        if origin == "Debian" and "-" not in release:
            return release, uri
    return None


def _find(command: str) -> str | None:
    return shutil.which(command, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def _call(command: str, *arguments: str, stdin: object = None) -> None:
    found = _find(command)
    assert found is not None
    done = subprocess.run([found, *arguments], stdin=stdin, capture_output=True, text=True, check=False)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{command} {' '.join(arguments[:3])}: {done.stdout[-500:]} {done.stderr[-500:]}"
