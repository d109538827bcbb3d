"""The C sources are compiled as their README says, and by another project that fetches them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from edgexl.ship.c_source import ship_c_source
from edgexl.ship.product import Product
from tests.runtime.c_tests import configure, tool
from tests.ship.conftest import Run, commands, unpack

FETCHING = """
cmake_minimum_required(VERSION 3.18)
project(app LANGUAGES C)
include(FetchContent)
FetchContent_Declare({name} URL {archive} URL_HASH SHA256={sha256} DOWNLOAD_EXTRACT_TIMESTAMP ON)
FetchContent_MakeAvailable({name})
add_executable(app app.c)
target_link_libraries(app PRIVATE edgexl::edgexl)
target_compile_definitions(app PRIVATE BUNDLE="${{TINY_WORDS_BUNDLE}}")
"""
APP = r"""
#include <edgexl.h>
#include <stdio.h>
int main(void) {
    exl_error error = {.struct_size = sizeof error};
    exl_bundle *bundle = NULL;
    exl_session *session = NULL;
    if (exl_bundle_open(BUNDLE, NULL, &bundle, &error) || exl_session_open(bundle, NULL, &session, &error) ||
        exl_self_test_run(session, &(exl_self_test_report){.struct_size = sizeof(exl_self_test_report)}, &error))
        return puts(error.sentence), 1;
    return puts("sound"), 0;
}
"""


@pytest.fixture(scope="module")
def files(product: Product) -> dict[str, bytes]:
    return ship_c_source(product)


def test_the_readme_gives_the_first_answer(files: dict[str, bytes], product: Product, tmp_path: Path, run: Run) -> None:
    folder = unpack(files["tiny-words-1.2.3-c-source.tar.gz"], tmp_path)
    (first,) = commands((folder / "README.md").read_text())
    assert len(first.splitlines()) <= 5
    said = run("sh", "-ec", first, cwd=folder)
    assert len(said.splitlines()) == 5
    assert (folder / product.file).read_bytes() == product.bundle


@pytest.mark.slow  # a whole compile at -O3, again
def test_another_project_fetches_it(files: dict[str, bytes], tmp_path: Path, run: Run) -> None:
    archive, sha256 = tmp_path / "words.tar.gz", tmp_path / "sum"
    archive.write_bytes(files["tiny-words-1.2.3-c-source.tar.gz"])
    sha256 = files["tiny-words-1.2.3-c-source.tar.gz.sha256"].decode().split()[0]
    assert sha256 == hashlib.sha256(archive.read_bytes()).hexdigest()
    (tmp_path / "app").mkdir()
    text = FETCHING.format(name="tiny-words", archive=archive, sha256=sha256)
    (tmp_path / "app" / "CMakeLists.txt").write_text(text)
    (tmp_path / "app" / "app.c").write_text(APP)
    configure(tmp_path / "build", source=tmp_path / "app")
    run(tool("cmake"), "--build", tmp_path / "build")
    assert run(tmp_path / "build" / "app") == "sound"


def test_the_same_product_gives_the_same_bytes(files: dict[str, bytes], product: Product) -> None:
    assert ship_c_source(product) == files
