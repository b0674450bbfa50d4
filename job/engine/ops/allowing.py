"""``--allow-op``: denied ops that a user lets run."""

from collections.abc import Iterable
from typing import Final

from tensorflow.python.framework import op_def_registry

from job.engine.ops.allowable import check_allowable

ALLOWED: Final = set[str]()
"""What may run in the artifact at hand: a process reads one, and asks for it in many places."""


def allow_ops(names: Iterable[str]) -> None:
    """Let these ops run from now on, and no others that are denied.

    Raises `UsageError` as `check_allowable`, for ops of libraries that are not loaded too.
    """
    names = set(names)
    check_allowable(names, op_def_registry.get)
    ALLOWED.clear()
    ALLOWED.update(names)
