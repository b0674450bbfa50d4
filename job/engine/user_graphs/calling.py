"""Run the user's function, and tell in one line what went wrong in it, with file and line of the user's code."""

import importlib
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import tensorflow as tf

from job.errors import JobError, UsageError
from job.user_function import INSTALLED, UserFunction

REMEDY: Final = "correct it; called in Python within tf.Graph().as_default() it shows its whole traceback"
LEGACY: Final = "set TF_USE_LEGACY_KERAS=1, with which Keras 2 does it, or use ops of tf.nn"
NO_LAYERS: Final = "is not available with Keras 3"
"""What TensorFlow says of ``tf.compat.v1.layers``, where Keras 2 could do it."""

_MACHINERY: Final = ("importlib", "<frozen")


def call(said: UserFunction, inside: tf.Graph) -> Any:
    """Import the user's module and return what its function returns, called within a graph.

    A module may turn TensorFlow 2 off for itself, as many do; it is turned on again. Raises `UsageError`.
    """
    if said.root and said.root not in sys.path:
        sys.path.insert(0, said.root)
    try:
        with told(said, f"the module {said.module} cannot be imported"):
            function = _found(said, importlib.import_module(said.module))
        with told(said, f"{said.name} failed"), inside.as_default(), tf.device("/CPU:0"):
            return function()
    finally:
        _turn_on()


def _found(said: UserFunction, module: Any) -> Callable[[], Any]:
    found = module
    for part in said.function.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        what = f"the module {said.module} has no function {said.function}"
        names = [name for name, one in vars(module).items() if callable(one) and not name.startswith("_")]
        remedy = f"it has {', '.join(names[:10]) or 'none at all'}"
        raise UsageError(what, where=_shown(getattr(module, "__file__", None) or "", said.root), remedy=remedy)
    return found  # type: ignore[no-any-return]


def _turn_on() -> None:
    tf.compat.v1.reset_default_graph()
    tf.compat.v1.enable_v2_behavior()


@contextmanager
def told(said: UserFunction, what: str) -> Iterator[None]:
    """Raise as `UsageError` whatever the user's code raises, `SystemExit` included."""
    try:
        yield
    except JobError:
        raise
    except (Exception, SystemExit) as error:
        line = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        cause = f"{type(error).__name__}: {line[:300]}" if line else type(error).__name__
        remedy = LEGACY if NO_LAYERS in line else REMEDY
        raise UsageError(f"{what}: {cause}", where=_place(error, said), remedy=remedy) from error


def _place(error: BaseException, said: UserFunction) -> str:
    """Return the line of the user's that raised an error, or at which it went into somebody else's code."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_shown(error.filename, said.root)}:{error.lineno}"
    lines = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(_below(error.__traceback__))]
    own = [one for one in lines if _is_own(one[0], said)]
    file, line = ([("", 0), *lines, *own])[-1]
    return f"{_shown(file, said.root)}:{line}" if file else said.name


def _is_own(file: str, said: UserFunction) -> bool:
    """Whether a file is the user's, and not of a library that is installed in the same place or below it."""
    if not said.root or not Path(file).is_relative_to(said.root):
        return False
    parts = Path(file).relative_to(said.root).parts
    if Path(said.root).name in INSTALLED:
        return Path(parts[0]).stem == said.module.partition(".")[0]
    return not set(parts) & set(INSTALLED)


def _below(tracebacks: TracebackType | None) -> TracebackType | None:
    """Leave out our own frame and those of Python's import."""
    below = tracebacks.tb_next if tracebacks else None
    while below and any(mark in below.tb_frame.f_code.co_filename for mark in _MACHINERY):
        below = below.tb_next
    return below


def _shown(file: str, root: str) -> str:
    return str(Path(file).relative_to(root)) if root and Path(file).is_relative_to(root) else file
