"""Op libraries, pinned by their digest: ``FILE@sha256:HEX``, and ``+OP,OP`` for stateful ops of theirs that may run."""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from job.errors import NoInput, UsageError
from job.nearest import question_or
from job.pulling import beside, pull_file

_FORM: Final = re.compile(r"(?P<path>.+)@sha256:(?P<sha256>[0-9a-fA-F]{64})(\+(?P<ops>[\w>]+(,[\w>]+)*))?")
_MARK: Final = "@sha256:"


@dataclass(frozen=True, kw_only=True)
class OpLibrary:
    """A shared library of ops: where it lies, what its bytes must be, and its stateful ops that may run."""

    path: str
    sha256: str
    ops: tuple[str, ...] = ()

    @property
    def content(self) -> str:
        """Return what decides a result: not where the file lies."""
        return f"{Path(self.path).name}{_MARK}{self.sha256}" + (f"+{','.join(self.ops)}" if self.ops else "")

    def read(self) -> bytes:
        """Return the file's bytes, which are those that were pinned; raises `UsageError` with the digest found."""
        data = Path(self.path).read_bytes()
        found = hashlib.sha256(data).hexdigest()
        if found != self.sha256:
            raise UsageError(
                f"the op library has the SHA-256 {found}, and {self.sha256} was given",
                where=Path(self.path).name,
                remedy="give the digest that was found only if this is the file that you trust",
            )
        return data


def parse_op_library(text: str) -> OpLibrary:
    """Return what a setting or a manifest pins; raises `UsageError`, with the file's digest where one is wanting."""
    found = _FORM.fullmatch(text)
    if found is None:
        path = Path(text.partition(_MARK)[0])
        digest = f"; its SHA-256 is {hashlib.sha256(path.read_bytes()).hexdigest()}" if path.is_file() else ""
        raise UsageError(
            f"an op library is given as FILE@sha256:HEX{digest}",
            where=path.name,
            remedy="pin the file that you trust by its digest",
        )
    ops = tuple(found["ops"].split(",")) if found["ops"] else ()
    return OpLibrary(path=found["path"], sha256=found["sha256"].lower(), ops=ops)


@cache
def pull_op_library(text: str, said_in: str, scratch: Path) -> str:
    """Pull a pinned library, once in a run, and return it by its local path.

    Its own path is relative to the file `said_in`; to the working directory where that is empty.

    Raises `UsageError` where the file is not there or not the one that is pinned.
    """
    name, mark, pin = text.partition(_MARK)
    uri = beside(said_in, name)
    try:
        path = pull_file(uri, scratch)
    except NoInput as error:
        remedy = question_or(error.remedy, "check --op-library, and `op_libraries` in the manifest")
        raise UsageError("there is no such op library", where=uri, remedy=remedy) from error
    parse_op_library(f"{path}{mark}{pin}").read()
    return f"{path}{mark}{pin}"
