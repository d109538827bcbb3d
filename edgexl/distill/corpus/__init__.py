"""What a distillation trains on: the queries, divided, and the rows of its label set."""
