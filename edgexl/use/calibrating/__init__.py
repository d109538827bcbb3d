"""Fitting cost models to devices: the bundles that are measured for it, how, and where the model goes."""
