"""What is taken of an entry: meanings of 1913 alone, one by one. The entries are made up, in its form."""

from __future__ import annotations

import pytest

from edgexl.base.archives import pack_ar, read_ar
from edgexl.data.webster import Definition, read_entry

ENTRY = """Glimstone \\Glim"stone`\\ (gl[i^]m"st[=o]n), n. [OE. glim, fr. L. (x) [see {Glim}] +
   {stone}.]
   1. (Min.) A soft green stone that shines in the dark, found
      in caves by the sea; as, the glimstone of Orr. See {Stone}.
      [1913 Webster]

            By glimstone light they went below.  --Nobody.
      [1913 Webster]

   2. A lamp. [Obs.]
      [1913 Webster]

   3. A modern toy that glows.
      [PJC]

   4. (Arch.)
      (a) A round window over a door.
      (b) The frame of such a window; -- called also {eyestone}.
          [Webster 1913 Suppl.]

   {Glimstone fish}, or {Shiner} (Zool.), a small fish that
      carries a light.

   {Glimstone paste}, stones ground with oil.
      [1913 Webster]

   Note: Nothing is known of it.
         [1913 Webster]

   {Glimstone app}, a program.
      [PJC]
"""


def test_meanings_of_1913_are_taken_one_by_one() -> None:
    assert list(read_entry(ENTRY)) == [
        Definition("Glimstone", "A soft green stone that shines in the dark, found in caves by the sea"),
        Definition("Glimstone", "A round window over a door"),
        Definition("Glimstone", "The frame of such a window"),
        Definition("Glimstone fish", "a small fish that carries a light"),
        Definition("Glimstone paste", "stones ground with oil"),
    ]


@pytest.mark.parametrize(
    ("entry", "meanings"),
    [
        ('Dimly \\Dim"ly\\, adv.\n   In a way that shows little.\n   [1913 Webster]\n', ["In a way that shows little"]),
        (
            'Dim \\Dim\\, v. t. & i. [imp. & p. p. {Dimmed}; p. pr. {Dimming}.]\n   To make less bright; to darken.\n'
            "   --Pope.\n   [1913 Webster]\n",
            ["To make less bright; to darken"],
        ),
        ('Dims \\Dims\\, n. pl.\n   See {Dim}.\n   [1913 Webster]\n', []),
        ('Dimmer \\Dim"mer\\, n.\n   Same as {Dim}, 2.\n   [1913 Webster]\n', []),
        ('Dimmed \\Dimmed\\, a.\n   Darkened.\n   [1913 Webster]\n', []),
        ('Dimmish \\Dim"mish\\, a.\n   Somewhat dim and dull.\n   [WordNet 1.5]\n', []),
        ('Dimmish \\Dim"mish\\, a.\n   Somewhat dim and dull.\n   [1913 Webster +PJC]\n', []),
        ('Dimmish \\Dim"mish\\, a.\n   Somewhat dim and dull.\n', []),
        ("", []),
    ],
    ids=["adverb", "verb", "see", "same as", "one word", "WordNet", "changed since", "no source", "empty"],
)  # fmt: skip
def test_heads_pointers_and_sources(entry: str, meanings: list[str]) -> None:
    assert [each.text for each in read_entry(entry)] == meanings


def test_archives_are_read_back() -> None:
    members = {"debian-binary": b"2.0\n", "data.tar.xz": b"odd", "empty": b""}
    assert read_ar(pack_ar(members)) == members
    with pytest.raises(ValueError, match="does not begin"):
        read_ar(b"PK\x03\x04")
    with pytest.raises(ValueError, match="no member at byte 8"):
        read_ar(b"!<arch>\n" + bytes(80))
