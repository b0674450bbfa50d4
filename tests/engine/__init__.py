"""The tests of the engine; who imports this package first has TensorFlow without oneDNN, as an exact worker has it."""

import os

ONEDNN = "TF_ENABLE_ONEDNN_OPTS"

_before = os.environ.get(ONEDNN)
os.environ[ONEDNN] = "0"  # decided while TensorFlow is imported; a worker that another test starts decides for itself
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import tensorflow as tf  # noqa: E402 - here, and nowhere before

if _before is None:
    del os.environ[ONEDNN]
else:
    os.environ[ONEDNN] = _before

__all__ = ["tf"]
