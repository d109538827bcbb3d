"""Linux: a tarball for glibc 2.28 and one for musl, and two Debian packages: the runtime, and a bundle with a service.

Both have what a developer looks for where pkg-config and CMake look for it, and tools that need no C library.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from edgexl import __version__
from edgexl.base.archives import Member, pack_ar, pack_tar_gz
from edgexl.base.progress import Progress, no_progress
from edgexl.runtime.build import CPP_HEADER, HEADER, RUNTIME
from edgexl.ship import vectors
from edgexl.ship.documents import licenses, write_bill, write_notices
from edgexl.ship.machines import MACHINES, MAJOR, Machine, build_library, build_tools
from edgexl.ship.product import Product
from edgexl.ship.readme import Section, code, proof_section, shell_text, write_readme

PORT = 8017
# A platform's names in Debian: the architecture, and the folder of its libraries.
_DEBIAN = {
    "linux-x86-64": ("amd64", "x86_64-linux-gnu"),
    "linux-arm64": ("arm64", "aarch64-linux-gnu"),
    "linux-armhf": ("armhf", "arm-linux-gnueabihf"),
}
_LINKED = ("musl", "compiler-rt")
_UNIT = """[Unit]
Description={name}: labels for texts, over HTTP on 127.0.0.1
After=network.target

[Service]
Environment=PORT={port}
EnvironmentFile=-/etc/default/{name}
ExecStart=/usr/bin/exl-serve /usr/share/{name}/{file} --port ${{PORT}}{trust}
Restart=on-failure
DynamicUser=yes
CapabilityBoundingSet=
LockPersonality=yes
MemoryDenyWriteExecute=yes
NoNewPrivileges=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectSystem=strict
RestrictAddressFamilies=AF_INET
RestrictNamespaces=yes
RestrictRealtime=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service

[Install]
WantedBy=multi-user.target
"""


def ship_linux(product: Product, platform: str, progress: Progress = no_progress) -> dict[str, bytes]:
    """The files for a platform ("linux-x86-64", "linux-arm64", "linux-armhf"), by their names."""
    tools = build_tools(MACHINES[f"{platform}-musl"], progress)
    files = {}
    for machine in (MACHINES[platform], MACHINES[f"{platform}-musl"]):
        progress(f"pack for {machine.name}", 0, 1)
        libraries = build_library(machine, progress)
        files[f"{product.title}-{machine.name}.tar.gz"] = _tarball(product, machine, libraries, tools)
        progress(f"pack for {machine.name}", 1, 1)
    libraries = build_library(MACHINES[platform], progress)
    runtime = _runtime_deb(MACHINES[platform], libraries, tools, product.vendor)
    files[f"libedgexl_{__version__}_{_DEBIAN[platform][0]}.deb"] = runtime
    files[f"{product.name}_{product.version}_all.deb"] = _bundle_deb(product)
    return files


def development_files(machine: Machine, libraries: Mapping[str, bytes], folder: str, prefix: str) -> dict[str, Member]:
    """Header, libraries with their links, pkg-config's file and CMake's, by their paths from the prefix, of which
    `folder` holds libraries; `prefix`: as pkg-config is told, "" for one that may be moved."""
    depth = folder.count("/") + 1
    values = {
        "EDGEXL_VERSION": __version__,
        "EDGEXL_SOVERSION": MAJOR,
        "EDGEXL_PC_PREFIX": prefix or "${pcfiledir}" + "/.." * (depth + 1),
        "EDGEXL_PC_LIBDIR": "${prefix}/" + folder,
        "EDGEXL_CONFIG_TO_INCLUDE": "../" * (depth + 2) + "include",
        "EDGEXL_SHARED": machine.shared,
        "EDGEXL_SONAME": machine.soname,
        "EDGEXL_STATIC": "libedgexl.a",
    }

    def fill(name: str) -> Member:
        text = (RUNTIME / "cmake" / f"{name}.in").read_text(encoding="utf-8")
        for key, value in values.items():
            text = text.replace(f"@{key}@", value)
        return Member(text.encode())

    return {
        "include/edgexl.h": Member(HEADER.read_bytes()),
        "include/edgexl.hpp": Member(CPP_HEADER.read_bytes()),
        f"{folder}/libedgexl.so": Member(b"", link=machine.soname),
        f"{folder}/{machine.soname}": Member(b"", link=machine.shared),
        f"{folder}/{machine.shared}": Member(libraries[machine.shared]),
        f"{folder}/libedgexl.a": Member(libraries["libedgexl.a"]),
        f"{folder}/pkgconfig/edgexl.pc": fill("edgexl.pc"),
        f"{folder}/cmake/edgexl/edgexl-config.cmake": fill("edgexl-config.cmake"),
        f"{folder}/cmake/edgexl/edgexl-config-version.cmake": fill("edgexl-config-version.cmake"),
    }


def _tarball(product: Product, machine: Machine, libraries: Mapping[str, bytes], tools: Mapping[str, bytes]) -> bytes:
    files = {
        **development_files(machine, libraries, "lib", ""),
        **{f"bin/{name}": Member(content, 0o755) for name, content in tools.items()},
        f"share/{product.name}/{product.file}": Member(product.bundle),
        f"share/{product.name}/{vectors.NAME}": Member(product.vectors),
        "example.c": Member((RUNTIME / "examples" / "embed.c").read_bytes()),
        "README.md": Member(_readme(product, machine)),
        "LICENSE": Member(licenses()["LICENSE"]),
        "NOTICE": Member(write_notices(_LINKED, product)),
        "sbom.cdx.json": Member(write_bill(product, machine.name, _LINKED)),
    }
    return pack_tar_gz({f"{product.title}-{machine.name}/{name}": member for name, member in files.items()})


def _readme(product: Product, machine: Machine) -> bytes:
    text, bundle, trust = shell_text(product), f"share/{product.name}/{product.file}", _trust(product)
    needs = "glibc 2.28 or newer" if machine.libc == "glibc" else "musl 1.2 or newer"
    flags = "$(PKG_CONFIG_PATH=lib/pkgconfig pkg-config --cflags --libs edgexl)"
    sections = (
        Section("The first answer", code("console", f"$ bin/exl-run {bundle} {text} -k 1{trust}")),
        Section(
            "In C",
            code(
                "console", f"$ cc example.c -o example {flags} -Wl,-rpath,'$ORIGIN/lib'", f"$ ./example {bundle} {text}"
            )
            + "\n\nCMake: `find_package(edgexl REQUIRED)` with this folder in `CMAKE_PREFIX_PATH` gives "
            "`edgexl::edgexl` and `edgexl::edgexl_static`. `include/edgexl.h` says all of it.",
        ),
        Section(
            "Over HTTP",
            code(
                "console",
                f"$ bin/exl-serve {bundle} --port {PORT}{trust} &",
                f"$ curl -d {text} localhost:{PORT}/predict",
            ),
        ),
        Section("Is it sound?", code("console", f"$ bin/exl-run {bundle} --self-test{trust}")),
        proof_section(product, machine.name.removesuffix("-musl")),
    )
    return write_readme(
        product, machine.name, f"The libraries need {needs}, the tools no C library at all.", sections
    )  # fmt: skip


def _trust(product: Product) -> str:
    """The tools' options by which they open what the product's keys have signed."""
    least = f" --least-version {product.least_version}" if product.least_version else ""
    return "".join(f" --key {key}" for key in product.keys) + (least if product.keys else "")


# ---- Debian ----------------------------------------------------------------------------------------------------------


def _runtime_deb(machine: Machine, libraries: Mapping[str, bytes], tools: Mapping[str, bytes], vendor: str) -> bytes:
    """The runtime, for any bundle: it says nothing of this one."""
    architecture, folder = _DEBIAN[machine.name]
    files = {
        **{
            f"usr/{name}": each for name, each in development_files(machine, libraries, f"lib/{folder}", "/usr").items()
        },
        **{f"usr/bin/{name}": Member(content, 0o755) for name, content in tools.items()},
        "usr/share/doc/libedgexl/copyright": Member(_copyright("edgexl", "Apache-2.0", write_notices(_LINKED))),
        "usr/share/doc/libedgexl/LICENSE": Member(licenses()["LICENSE"]),
    }
    control = {
        "Package": "libedgexl",
        "Version": __version__,
        "Architecture": architecture,
        "Section": "libs",
        "Depends": "libc6 (>= 2.28)",
        "Description": "answers queries over huge label sets from one bundle file\n"
        " Library, header, pkg-config and CMake packages, and the tools exl-run,\n exl-bench and exl-serve.",
    }
    return _deb({**control, "Maintainer": vendor}, files)


def _bundle_deb(product: Product) -> bytes:
    trust = _trust(product)
    unit = _UNIT.format(name=product.name, file=product.file, port=PORT, trust=trust)
    text, path = shell_text(product), f"/usr/share/{product.name}/{product.file}"
    sections = (
        Section("The first answer", code("console", f"$ exl-run {path} {text} -k 1{trust}")),
        Section(
            "Over HTTP",
            code("console", f"# systemctl enable --now {product.name}", f"$ curl -d {text} localhost:{PORT}/predict")
            + f"\n\n`PORT=8018` in `/etc/default/{product.name}` has it listen elsewhere.",
        ),
    )
    files = {
        f"usr/share/{product.name}/{product.file}": Member(product.bundle),
        f"usr/share/{product.name}/{vectors.NAME}": Member(product.vectors),
        f"usr/lib/systemd/system/{product.name}.service": Member(unit.encode()),
        f"usr/share/doc/{product.name}/README.md": Member(
            write_readme(product, "Debian", "It needs the package libedgexl.", sections)
        ),
        f"usr/share/doc/{product.name}/copyright": Member(
            _copyright(product.name, product.license, write_notices((), product))
        ),
        f"usr/share/doc/{product.name}/sbom.cdx.json": Member(write_bill(product, "debian", ())),
    }
    control = {
        "Package": product.name,
        "Version": product.version,
        "Architecture": "all",
        "Section": "misc",
        "Depends": f"libedgexl (>= {__version__})",
        "Description": f"{product.summary} for edgexl\n A bundle, and a service that answers from it on this machine.",
        "Maintainer": product.vendor,
    }
    return _deb(control, files)


def _copyright(name: str, license: str, notices: bytes) -> bytes:
    head = f"Upstream-Name: {name}\nLicense: {license}\n\n"
    return head.encode() + notices


def _deb(control: Mapping[str, str], files: Mapping[str, Member]) -> bytes:
    """A Debian package (deb(5)) of these fields and files. Nothing is run when it is installed."""
    installed = sum(-(-len(member.content) // 1024) for member in files.values())
    fields = {**control, "Installed-Size": str(installed), "Priority": "optional"}
    description = fields.pop("Description")
    text = "".join(f"{name}: {value}\n" for name, value in fields.items()) + f"Description: {description}\n"
    sums = "".join(
        f"{hashlib.md5(member.content, usedforsecurity=False).hexdigest()}  {name}\n"
        for name, member in sorted(files.items())
        if not member.link
    )
    return pack_ar(
        {
            "debian-binary": b"2.0\n",
            "control.tar.gz": pack_tar_gz({"./control": Member(text.encode()), "./md5sums": Member(sums.encode())}),
            "data.tar.gz": pack_tar_gz({f"./{name}": member for name, member in files.items()}, folders=True),
        }
    )
