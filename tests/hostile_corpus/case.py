"""What a hostile artifact is, and what lies outside that it tries to reach."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Outcomes = frozenset[int]


@dataclass(frozen=True, kw_only=True)
class Outside:
    """What no artifact may touch: a directory with files, and a port of this machine at which somebody listens."""

    directory: Path
    port: int

    def path(self, name: str) -> str:
        """Return the path of a canary, or of a file that shall never be there."""
        return str(self.directory / name)


@dataclass(frozen=True, kw_only=True)
class Case:
    """An artifact that shall do no harm.

    `write` puts it below a directory of its own. `codes` are the exit codes that a run may end it with,
    0 where it is harmless after all; with the sandbox alone it may end with any.
    """

    name: str
    tries: str
    codes: Outcomes
    write: Callable[[Path, Outside], None]


def written(name: str, data: "bytes | str | Callable[[Outside], bytes | str]") -> Callable[[Path, Outside], None]:
    """Return what writes one file."""

    def write(directory: Path, outside: Outside) -> None:
        content = data(outside) if callable(data) else data
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    return write
