"""Everything that imports TensorFlow; runs in workers only."""
