"""Trains the built-in model `shapes` again: `python -m train.shapes --out runs/shapes`."""
