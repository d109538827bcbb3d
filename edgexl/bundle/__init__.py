"""The bundle: one `.exl` file that a device maps and uses in place.

`docs/format.md` is the specification; the modules here are its Python side, one a chapter, and need numpy alone:
`layout` (header, section table), `parameters`, `weights`, `strings`, `tokenizer`, `row_labels`, `calibration`,
`goldens`, and `write` and `read` for whole files.
"""
