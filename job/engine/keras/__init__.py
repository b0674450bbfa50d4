"""Keras models in HDF5 files: read by the code that wrote them, as far as that still runs."""
