"""Ops: which may run, which can, and what stands in for those of old TensorFlow."""
