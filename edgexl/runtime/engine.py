"""The engine's library for a device: ONNX Runtime as a plain C library, taken out of its wheel on PyPI.

The wheel for a device's platform holds the library whole (`onnxruntime/capi/libonnxruntime.so.*`); nothing else of it
is needed there, and no Python. It asks for glibc 2.28 and libstdc++ on the device.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from edgexl.base.errors import BadInput, DeviceError
from edgexl.base.fetch import Package, fetch
from edgexl.base.files import write_bytes

_VERSION = "1.32.0"
# The library is the same in the wheels of all Python versions; one of them is pinned.
_WHEELS = {
    "aarch64": Package(
        client="pip",
        name="onnxruntime",
        version=_VERSION,
        file_name=f"onnxruntime-{_VERSION}-cp311-cp311-manylinux_2_28_aarch64.whl",
        sha256="2303372a85299b6757b0e11e1cbf13e410ddf7e10c37f4b37e99d1c90e7daf7c",
        options=("--platform", "manylinux_2_28_aarch64", "--python-version", "3.11"),
    ),
}
_MEMBER = f"onnxruntime/capi/libonnxruntime.so.{_VERSION}"
_NOTICES = {"onnxruntime/LICENSE": "onnxruntime-LICENSE", "onnxruntime/ThirdPartyNotices.txt": "onnxruntime-NOTICES"}
LIBRARY = "libonnxruntime.so"


def fetch_engine(architecture: str, directory: Path) -> Path:
    """Put the engine's library for `architecture` and its licence notices into `directory`; returns the library.

    The wheel is pinned by hash and kept in the cache. Raises `DeviceError` for an architecture without a pinned wheel,
    `BadInput` where the wheel cannot be fetched.
    """
    if architecture not in _WHEELS:
        raise DeviceError(
            f"There is no pinned ONNX Runtime for {architecture}, only for {', '.join(_WHEELS)}; "
            "get libonnxruntime for the device yourself and name it in $EDGEXL_ORT_LIBRARY."
        )
    wheel = fetch(_WHEELS[architecture])
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member, name in {_MEMBER: LIBRARY, **_NOTICES}.items():
                write_bytes(directory / name, archive.read(member))
    except (zipfile.BadZipFile, KeyError) as error:
        raise BadInput(f"{wheel} does not hold {_MEMBER} ({error}); remove it and try again.") from None
    return directory / LIBRARY
