"""Shared libraries of ops: what was hashed is what is loaded."""

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import tensorflow as tf
from tensorflow.core.framework import op_def_pb2
from tensorflow.python.client import pywrap_tf_session as c_api

from job.engine.ops import kernels
from job.errors import UsageError
from job.pinned import OpLibrary, parse_op_library
from job.records import Finding

ADDED: Final = set[str]()
"""Ops of loaded libraries; loading is for the whole process, and so is this."""

NAMED: Final = set[str]()
"""Those stateful ones among them that the user allows."""


def load_op_libraries(pinned: Iterable[str]) -> tuple[Finding, ...]:
    """Load libraries given as ``FILE@sha256:HEX`` and return what their users must know.

    Raises `UsageError` for other bytes than those pinned, and for what this TensorFlow cannot load.
    """
    libraries = [parse_op_library(text) for text in pinned]
    before = _registered() if libraries else set()
    for library in libraries:
        _load(library)
        NAMED.update(library.ops)
    if libraries:
        ADDED.update(_registered() - before)
        kernels.forget()
    return tuple(map(_finding, libraries))


def _load(library: OpLibrary) -> None:
    """Load a copy that nobody else can write: the file itself may change after it was hashed."""
    name = Path(library.path).name
    with TemporaryDirectory() as private:
        copy = Path(private, name)
        copy.write_bytes(library.read())
        try:
            tf.load_op_library(str(copy))
        except (tf.errors.OpError, RuntimeError) as error:
            raise UsageError(
                f"TensorFlow {tf.__version__} cannot load the op library: {str(error).splitlines()[0][:300]}",
                where=name,
                remedy="build it against this TensorFlow, with the flags of tf.sysconfig.get_compile_flags()",
            ) from error


def _registered() -> set[str]:
    listed = op_def_pb2.OpList.FromString(c_api.TF_GetBuffer(c_api.TF_GetAllOpList()))
    return {op.name for op in listed.op}


def _finding(library: OpLibrary) -> Finding:
    name = Path(library.path).name
    return Finding(
        code="op_library_loaded",
        cause=f"ops of {name} (sha256 {library.sha256}) were loaded",
        remedy=f"the SavedModel needs them too: call tf.load_op_library({name!r}) before loading it",
        severity="warning",
    )
