"""The user's function that builds a graph: ``package.module:function``, found here and imported by workers alone."""

import ast
import hashlib
import importlib
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder, all_suffixes
from pathlib import Path
from typing import Final

from job.errors import UsageError
from job.storage.files import local_io

INSTALLED: Final = ("site-packages", "dist-packages")
"""How directories are called in which packages are installed."""

_NAME: Final = r"[^\W\d]\w*(\.[^\W\d]\w*)*"
_SCHEME: Final = re.compile(r"[a-z][a-z0-9_]*")
_FORM: Final = re.compile(rf"(?P<module>{_NAME}):(?P<function>{_NAME})(@(?P<root>.+))?", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class UserFunction:
    """A function by its module, and the directory that the module is imported from; empty for Python's own path."""

    module: str
    function: str
    root: str = ""

    @property
    def name(self) -> str:
        """Return what the user calls it."""
        return f"{self.module}:{self.function}"

    @property
    def content(self) -> str:
        """Return what decides a result: the sources of the outermost package and of those beside it that it imports.

        Where they lie does not, nor what is installed, nor files that the code reads.
        """
        digest = hashlib.sha256()
        for path in _sources(self.module.partition(".")[0], self.root):
            with local_io(path):
                digest.update(f"{path.relative_to(self.root)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
        return f"{self.name}@sha256:{digest.hexdigest()}"


def is_scheme(text: str) -> bool:
    """Whether a text is the name of an architecture that the job knows, ``slim_resnet_v1_50``, and no function's."""
    return _SCHEME.fullmatch(text) is not None


def parse_user_function(text: str) -> UserFunction:
    """Return what ``MODULE:FUNCTION`` names, or what `find_user_function` made of it; raises `UsageError`."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise UsageError(
            f"{text!r} names no function", remedy="give --architecture as package.module:function, nets.resnet:build"
        )
    return UserFunction(module=found["module"], function=found["function"], root=found["root"] or "")


def find_user_function(text: str) -> str:
    """Return the function with the directory that it will be imported from; nothing is imported here.

    The working directory comes before Python's own path, which holds what ``PYTHONPATH`` names.
    Raises `UsageError` for a wrong form, and where there is no such module.
    """
    said = parse_user_function(text)
    top = said.module.partition(".")[0]
    importlib.invalidate_caches()
    spec = None if said.root else PathFinder.find_spec(top, [str(Path.cwd()), *sys.path])
    if spec is None:
        raise UsageError(
            f"there is no module {top!r} in the working directory or in PYTHONPATH",
            where=text,
            remedy="run the job where the module lies, or name its directory in PYTHONPATH",
        )
    return f"{said.name}@{Path(_place(spec)).parent.resolve()}"


def _place(spec: ModuleSpec) -> str:
    """Return a package's directory, or a module's file."""
    return next(iter(spec.submodule_search_locations or ()), spec.origin or "")


def _sources(top: str, root: str) -> list[Path]:
    """Return the files of a package or module, and of those in the same directory that it imports."""
    found, waiting = dict[str, list[Path]](), {top}
    while waiting:
        name = waiting.pop()
        found[name] = _files(name, root)
        imported = {other for path in found[name] for other in _imported(path)}
        waiting |= {other for other in imported - found.keys() if not _is_installed(other, root)}
    return sorted(path for files in found.values() for path in files)


def _is_installed(name: str, root: str) -> bool:
    """Whether pip put a package there; TensorFlow's sources are many, and its version decides by itself."""
    return Path(root).name in INSTALLED or any(Path(root).glob(f"{name}-*.dist-info"))


def _files(name: str, root: str) -> list[Path]:
    """Return a package's sources, or a module's one file; nothing for what is not in a directory."""
    package = Path(root, name)
    modules = (Path(root, f"{name}{suffix}") for suffix in all_suffixes())
    return list(package.rglob("*.py")) if package.is_dir() else [path for path in modules if path.is_file()]


def _imported(path: Path) -> Iterator[str]:
    """Yield the outermost packages that a source imports by name."""
    with local_io(path), suppress(SyntaxError, ValueError):  # its import will tell
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                yield from (name.name.partition(".")[0] for name in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.partition(".")[0]
