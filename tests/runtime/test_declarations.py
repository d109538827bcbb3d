"""ctypes sees the header's structs as a C compiler does, and knows every function that the library exports."""

from __future__ import annotations

import ctypes
import re
import subprocess
from pathlib import Path

from edgexl.runtime.declarations import HEADER, read_header
from edgexl.runtime.library import find_library


def test_every_field_lies_where_the_compiler_puts_it(tmp_path: Path) -> None:
    structs = read_header().structs
    assert {"exl_result", "exl_prediction", "exl_error", "exl_batch"} <= set(structs)
    expected = []
    lines = []
    for name, struct in structs.items():
        assert struct._fields_[0][0] == "struct_size"
        lines.append(f'printf("%zu ", sizeof({name}));')
        expected.append(ctypes.sizeof(struct))
        for field, _ in struct._fields_:
            lines.append(f'printf("%zu %zu ", offsetof({name}, {field}), sizeof((({name} *)0)->{field}));')
            expected += [getattr(struct, field).offset, getattr(struct, field).size]
    (tmp_path / "sizes.c").write_text(
        '#include "edgexl.h"\n#include <stdio.h>\nint main(void) {' + "\n".join(lines) + "}\n"
    )
    command = ["cc", f"-I{HEADER.parent}", str(tmp_path / "sizes.c"), "-o", str(tmp_path / "sizes")]
    subprocess.run(command, check=True)
    said = subprocess.run([str(tmp_path / "sizes")], check=True, capture_output=True, text=True).stdout
    assert list(map(int, said.split())) == expected


def test_constants_and_functions_are_those_of_the_header() -> None:
    header = read_header()
    assert header.constants["EXL_SELF_TEST_FAILED"] == 404
    assert header.constants["EXL_OPEN_COPY"] == 16
    library = header.declare(ctypes.CDLL(str(find_library())))
    names = set(re.findall(r"^EXL_API .*?(\w+)\(", HEADER.read_text(encoding="utf-8"), re.M))
    assert len(names) > 20
    assert all(getattr(library, name).argtypes is not None for name in names)
    assert library.exl_get_version.restype is ctypes.c_char_p
    assert library.exl_labels_refresh.argtypes[-1] is ctypes.POINTER(header.structs["exl_error"])
