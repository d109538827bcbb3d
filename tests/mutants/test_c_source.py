"""Where faults are put into C, and where not."""

from __future__ import annotations

from tests.mutants.c_source import find_changes

SOURCE = r"""
#define LARGER(a, b) ((a) > (b) ? (a) : (b))
static const int TABLE[2] = {1 + 1, 2}; /* a < b */
_Static_assert(sizeof(int) == 4, "docs/format.md");
static int first(const unsigned char *bytes, int count) {
    int sums[16] = {0}; // count - 1
    if (count <= 0 && bytes[0] != '<')
        return EXL_BAD_ARGUMENT;
    memcpy(sums, "a + b", 4);
    sums[count - 1] += -bytes[1];
    return sums[0];
}
"""


def changed() -> dict[str, set[str]]:
    """Of each text that is changed, with its line, the texts that it becomes."""
    found: dict[str, set[str]] = {}
    for change in find_changes(SOURCE):
        line = SOURCE.count("\n", 0, change.begin) + 1
        assert line in change.statement
        assert change.function == "first"
        found.setdefault(f"{line}: {SOURCE[change.begin : change.end]}", set()).add(change.after)
    return found


def test_what_is_changed() -> None:
    found = changed()
    assert found["7: <="] == {"<", ">"}
    assert found["7: &&"] == {"||"}
    assert found["7: !="] == {"=="}
    assert found["7: (count <= 0 && bytes[0] != '<')"] == {"(!(count <= 0 && bytes[0] != '<'))"}
    assert found["8: EXL_BAD_ARGUMENT"] == {"EXL_OK", "EXL_NO_SUCH_LABEL"}
    assert found['9: memcpy(sums, "a + b", 4)'] == {""}
    assert found["9: "] == {" - 1", " + 1"}  # the length
    assert found["9: 4"] == {"3", "5"}
    assert found["10: count - 1"] == {"(count - 1) + 1", "(count - 1) - 1"}
    assert found["10: +="] == {"-=", "="}
    assert found["10: -"] == {"+", ""}  # that of the index, and the sign
    assert found["10: 1"] == {"0", "2"}


def test_what_is_left_alone() -> None:
    """Macros, tables and assertions outside of functions, comments, strings, sizes of declarations."""
    found = changed()
    assert {int(text.split(":")[0]) for text in found} == {6, 7, 8, 9, 10, 11}
    assert [text for text in found if text.startswith("6:")] == ["6: 0"]
    assert not any("<'" in text and text != "7: (count <= 0 && bytes[0] != '<')" for text in found)
