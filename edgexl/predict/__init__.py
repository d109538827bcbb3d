"""What the float student, and searches without training, answer with no index and no compression: what bundles and
trainings are compared with."""
