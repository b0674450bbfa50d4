"""Moves TensorFlow 1 models to TF2 SavedModels, with proof; ``python -m job`` is the way in."""
