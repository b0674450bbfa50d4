"""``--allow-op``: denied ops that a user lets run."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

from tensorflow.python.framework import op_def_registry

from job.engine.ops.classes import CLASS_OF
from job.errors import UsageError

ALLOWED: Final = set[str]()
"""What may run in the artifact at hand: a process reads one, and asks for it in many places."""

PYTHON_OPS: Final = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc"})
"""Their Python body is not in the file."""


def allow_ops(names: Iterable[str]) -> None:
    """Let these ops run from now on, and no others that are denied.

    Raises `UsageError` for an op that there is not, with the one that was meant, and for Python bodies.
    """
    names = set(names)
    for name in sorted(names):
        if name in PYTHON_OPS:
            raise UsageError(
                f"{name} cannot be allowed: its Python code is not in the file, so that there is nothing to run",
                where="--allow-op",
                remedy="export the model without py_func, or cut above it with `inputs` in the manifest",
            )
        if op_def_registry.get(name) is None:
            raise UsageError(f"there is no op {name!r}", where="--allow-op", remedy=_meant(name))
    ALLOWED.clear()
    ALLOWED.update(names)


def _meant(name: str) -> str:
    close = get_close_matches(name, CLASS_OF, n=1)
    return f"did you mean {close[0]!r}?" if close else "docs/ops.md says where the ops are listed"
