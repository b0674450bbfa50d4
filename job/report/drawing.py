"""matplotlib, imported for the first plot: without a user's settings, fonts or directories, one thread at a time."""

import io
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

_AT_WORK: Final = threading.Lock()
"""Several lanes write reports at once, and matplotlib is not made for threads."""

_NO_METADATA: Final = {"Creator": None, "Date": None, "Format": None, "Type": None}

_STYLE: Final = {
    "axes.facecolor": "none",
    "figure.dpi": 72.0,  # so that a point is a pixel
    "font.family": "DejaVu Sans",  # which comes with matplotlib; it is only measured, as text stays text
    "font.size": 11.0,
    "path.simplify": False,
    "path.sketch": None,
    "savefig.bbox": None,
    "savefig.dpi": "figure",
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "svg.hashsalt": "tf1lift",  # equal plots have equal names inside
    "text.parse_math": False,
    "text.usetex": False,
}


@contextmanager
def drawing(scratch: Path | None = None) -> Iterator[Any]:
    """Give the class `matplotlib.figure.Figure`, to this thread alone and in the report's style.

    The first time, matplotlib is imported, which writes to a directory of its own for a moment, below `scratch`.
    """
    with _AT_WORK:
        matplotlib = _matplotlib(scratch)
        with matplotlib.rc_context():
            matplotlib.rcdefaults()  # a matplotlibrc in the working directory is read whatever is said
            matplotlib.rcParams.update(_STYLE)
            yield matplotlib.figure.Figure


def written(figure: Any) -> str:
    """Return a figure as the SVG document that matplotlib writes."""
    target = io.StringIO()
    figure.savefig(target, format="svg", metadata=_NO_METADATA)
    return target.getvalue()


def _matplotlib(scratch: Path | None) -> Any:
    return sys.modules["matplotlib"] if "matplotlib.figure" in sys.modules else _imported(scratch)


def _imported(scratch: Path | None) -> Any:
    """Import it with its bundled fonts alone: to look for a system's takes seconds, and a home may be read-only.

    The backend that a notebook names to its children need not be installed here.
    """
    with (
        tempfile.TemporaryDirectory(prefix="matplotlib-", dir=scratch) as directory,
        _environment(MPLBACKEND="svg", MPLCONFIGDIR=directory, MPL_IGNORE_SYSTEM_FONTS="1"),
    ):
        import matplotlib as mpl
        import matplotlib.backends.backend_svg
        import matplotlib.figure
    return mpl


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
