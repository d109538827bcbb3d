"""Distillation without a recipe of one's own: from files to a recipe, and to a student."""
