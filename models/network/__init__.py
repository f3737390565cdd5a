"""Layers of the deep network, and the recipe with its hyperparameters."""
