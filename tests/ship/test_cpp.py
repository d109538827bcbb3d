"""The C++ header: what it can do, and the table of vectors to the bit, by each compiler at hand."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgexl import __version__
from edgexl.ship.c_source import ship_c_source
from edgexl.ship.product import Product
from tests.ship.conftest import Run, unpack

PROGRAM = r"""
#include "edgexl.hpp"
#include <cassert>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>

static std::string bits(float number) {
    std::uint32_t word;
    char text[9];
    std::memcpy(&word, &number, sizeof word);
    std::snprintf(text, sizeof text, "%08" PRIx32, word);
    return text;
}

static int pass_vectors(edgexl::Session &session, const char *path) {
    std::ifstream table(path);
    int passed = 0;
    for (std::string line; std::getline(table, line);) {
        std::vector<std::string> cells;
        std::istringstream parts(line);
        for (std::string cell; std::getline(parts, cell, '\t');)
            cells.push_back(cell);
        edgexl::PredictOptions options;
        options.k = static_cast<std::uint32_t>((cells.size() - 2) / 2);
        const edgexl::Answer answer = session.predict(cells[0], options);
        std::vector<std::string> got = {cells[0], answer.none_fits ? "1" : "0"};
        for (const edgexl::Label &label : answer.labels)
            got.push_back(label.id), got.push_back(bits(label.probability));
        passed += got == cells;
    }
    return passed;
}

int main(int, char **arguments) {
    edgexl::OpenOptions changes;
    changes.flags = EXL_OPEN_VERIFY;
    changes.labels_path = "changes";
    edgexl::Bundle bundle(arguments[1], changes);
    edgexl::Session session(bundle);
    std::cout << pass_vectors(session, arguments[2]) << ' ' << session.self_test().failed << '\n';

    const edgexl::Answer first = session.predict("old king");
    assert(!first.labels.empty() && session.explain("old king", first.labels[0].id).reasoner_rank == 1);
    assert(session.predict_batch({"old king", "old king"})[1].labels[0].logit == first.labels[0].logit);
    edgexl::Session together(bundle, 0, 2);
    assert(together.predict_batch({"red river", "old king", "old king"})[2].labels[0].logit == first.labels[0].logit);
    try {
        together.predict_batch({"old king", ""});
        assert(false);
    } catch (const edgexl::Error &error) {
        assert(error.status == EXL_EMPTY_TEXT);
    }
    assert(!bundle.complete("o", 2).empty());
    assert(bundle.label(bundle.find(first.labels[0].id)).text == first.labels[0].text);
    edgexl::PredictOptions above;
    above.threshold = 0.999999f;
    assert(session.predict("old king", above).labels.size() < bundle.info().shortlist);
    session.add("new-1", "zebra lantern");
    assert(session.predict("zebra lantern").labels[0].id == "new-1");
    bundle.retire("new-1");
    assert(bundle.label(bundle.labels_info().end - 1).state == EXL_LABEL_RETIRED);

    std::ifstream file(arguments[1], std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    edgexl::OpenOptions copy;
    copy.flags = EXL_OPEN_COPY;
    edgexl::Bundle held(bytes.data(), bytes.size(), copy);
    edgexl::Bundle moved(std::move(held));
    edgexl::Session other(moved);
    assert(other.predict("old king").labels[0].logit == first.labels[0].logit);
    std::FILE *opened = std::fopen(arguments[1], "rb");
    edgexl::Bundle part = edgexl::Bundle::from_descriptor(fileno(opened));
    std::fclose(opened);
    assert(edgexl::Session(part).predict("old king").labels[0].logit == first.labels[0].logit);
    try {
        session.predict("");
    } catch (const edgexl::Error &error) {
        std::cout << error.status << ' ' << error.what() << ' ' << edgexl::version() << '\n';
    }
}
"""


@pytest.fixture(scope="module")
def folder(product: Product, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(ship_c_source(product)["tiny-words-1.2.3-c-source.tar.gz"], tmp_path_factory.mktemp("cpp"))


@pytest.mark.parametrize(("c", "cpp"), [("gcc", "g++"), ("clang", "clang++")])
def test_all_vectors_pass_to_the_bit(
    c: str, cpp: str, folder: Path, product: Product, tmp_path: Path, run: Run
) -> None:
    if shutil.which(cpp) is None:
        pytest.skip(f"{cpp} is not installed")
    (tmp_path / "program.cpp").write_text(PROGRAM)
    run(c, "-O0", "-c", folder / "edgexl.c", "-o", "edgexl.o")
    strict = ("-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")
    run(cpp, *strict, f"-I{folder}", "program.cpp", "edgexl.o", "-o", "program", "-lm", "-ldl", "-lpthread")
    said = run(tmp_path / "program", folder / product.file, folder / "vectors.tsv").splitlines()
    assert len((folder / "vectors.tsv").read_text().splitlines()) == 50
    assert said == ["50 0", f"101 the text holds no token {__version__}"]
