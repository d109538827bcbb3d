"""What the float student answers, with no index and no compression: what bundles and trainings are compared with."""
