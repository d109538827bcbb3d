"""Measuring a teacher's two phases before distilling them: focus, confusion, interventions, and what to do about it."""

from edgexl.distill.characterize.recommendation import (
    ReasoningAdvice,
    Recommendation,
    ScreeningAdvice,
    read_recommendation,
)
from edgexl.distill.characterize.study import characterize

__all__ = ["ReasoningAdvice", "Recommendation", "ScreeningAdvice", "characterize", "read_recommendation"]
