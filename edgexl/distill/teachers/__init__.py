"""Teachers: models whose two phases, screening and reasoning, are measured and distilled separately."""

from edgexl.distill.teachers.protocol import Floats, Ints, Teacher

__all__ = ["Floats", "Ints", "Teacher"]
