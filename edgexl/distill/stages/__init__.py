"""The two stages of a distillation, their losses and data, and the training loop that both share."""
