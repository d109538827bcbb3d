"""Teachers: models whose two phases, screening and reasoning, are measured and distilled separately."""

from edgexl.base.arrays import Floats, Ints
from edgexl.distill.teachers.bi_encoder import BiEncoderTeacher
from edgexl.distill.teachers.opening import open_teacher
from edgexl.distill.teachers.protocol import Teacher
from edgexl.distill.teachers.traces import Trace, TraceTeacher, read_traces
from edgexl.distill.teachers.two_stage import TwoStageTeacher

__all__ = [
    "BiEncoderTeacher",
    "Floats",
    "Ints",
    "Teacher",
    "Trace",
    "TraceTeacher",
    "TwoStageTeacher",
    "open_teacher",
    "read_traces",
]
