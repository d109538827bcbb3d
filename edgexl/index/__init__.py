"""The label index: rotation, code books, encoders, and a plain numpy search that equals the C runtime to the bit.

A row (a label's text or an alias) is kept twice: as coarse codes, 4 bits a subspace, that every query scans, and as
fine codes, 2, 4 or 8 bits a dimension, read for the scan's best rows only (docs/format.md has the bytes of both).
All functions take float32 vectors and work in chunks, so that a million rows need little more memory than they hold.
"""

from edgexl.index.cells import ProbeFit, Vectors, cell_count, fit_probes, make_cells
from edgexl.index.choice import CoarseCode, choose_coarse, coarse_candidates, coarse_code
from edgexl.index.coarse import BLOCK_ROWS, decode_coarse, encode_coarse
from edgexl.index.codebook import train_codebook
from edgexl.index.fine import EVEN, Gain, decode_fine, encode_fine, fine_stride_bytes, leading_gain
from edgexl.index.fit import Fitted, fit_codes
from edgexl.index.rotation import train_rotation
from edgexl.index.search import LabelIndex, Shortlist, quantize_query, rescore, scan, scan_tables

__all__ = [
    "BLOCK_ROWS",
    "EVEN",
    "CoarseCode",
    "Fitted",
    "Gain",
    "LabelIndex",
    "ProbeFit",
    "Shortlist",
    "Vectors",
    "cell_count",
    "choose_coarse",
    "coarse_candidates",
    "coarse_code",
    "decode_coarse",
    "decode_fine",
    "encode_coarse",
    "encode_fine",
    "fine_stride_bytes",
    "fit_codes",
    "fit_probes",
    "leading_gain",
    "make_cells",
    "quantize_query",
    "rescore",
    "scan",
    "scan_tables",
    "train_codebook",
    "train_rotation",
]
