"""Evidence for the students: what distillation gains, size by size, and what others reach on the same queries."""
