"""Distillation, where students come from: each of the two stages with its own loss, data and teacher."""
