"""Which names ``--allow-op`` takes; without TensorFlow, so that the supervisor can refuse a wrong one at once."""

from collections.abc import Callable, Iterable
from typing import Final

from job.engine.ops.classes import CLASS_OF
from job.errors import UsageError
from job.nearest import meant

PYTHON_OPS: Final = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc"})
"""Their Python body is not in the file."""


def check_allowable(names: Iterable[str], is_op: Callable[[str], object] = CLASS_OF.__contains__) -> None:
    """Raise `UsageError` for an op that there is not, with the one that was meant, and for Python bodies.

    By default there are those of the list, which are TensorFlow's own.
    """
    for name in sorted(names):
        if name in PYTHON_OPS:
            raise UsageError(
                f"{name} cannot be allowed: its Python code is not in the file, so that there is nothing to run",
                where="--allow-op",
                remedy="export the model without py_func, or cut above it with `inputs` in the manifest",
            )
        if not is_op(name):
            remedy = meant(name, CLASS_OF, "docs/ops.md says where the ops are listed")
            raise UsageError(f"there is no op {name!r}", where="--allow-op", remedy=remedy)
