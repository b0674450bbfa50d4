"""What every stage would find out again, found out once before the forkserver forks.

An op or a thread in it would hang its children: all here is Python's own or reads TensorFlow's registries.
"""

from types import CellType, CodeType, FunctionType

import tensorflow as tf
from tensorflow.python.saved_model import signature_serialization

from job.engine.ops import kernels


def fill_caches() -> None:
    """Look up all kernels, and translate what TensorFlow wraps each signature in; runs no op."""
    kernels.registered()
    for code in signature_serialization.canonicalize_signatures.__code__.co_consts:
        if isinstance(code, CodeType) and code.co_name == "signature_wrapper":
            tf.autograph.to_graph(_unbound(code))


def _unbound(code: CodeType) -> FunctionType:
    """Return a function of a code that TensorFlow binds anew for each signature: what is kept is kept for the code."""
    cells = tuple(CellType() for _ in code.co_freevars)
    return FunctionType(code, vars(signature_serialization), closure=cells)
