"""Answers each line of a table of vectors, and prints it as it was answered: python vectors.py MODULE vectors.tsv."""

import importlib
import struct
import sys

words = importlib.import_module(sys.argv[1])
with open(sys.argv[2], encoding="utf-8", newline="\n") as table:
    for line in table:
        text, _, *labels = line.rstrip("\n").split("\t")
        try:
            answer = words.predict(text, len(labels) // 2)
            said = [str(int(answer.none_fits))]
            for label in answer.labels:
                said += [label.id, struct.pack(">f", label.probability).hex()]
        except words.EdgexlError as error:
            said = [f"error: {error}"]
        sys.stdout.buffer.write(("\t".join([text, *said]) + "\n").encode())
