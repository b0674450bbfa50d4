"""What lies outside of a job's scratch, watched: files and directories, and a port at which nobody may knock."""

import hashlib
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Final

from tests.hostile_corpus.case import Outside

NEVER: Final = (Path("/tmp/owned"), Path("/tmp/escaped"))  # noqa: S108 - what some artifacts would make
_FILES: Final = ("secret", "doomed/part.index", "doomed/part.data-00000-of-00001", "doomed/kept", "home/.profile")


@dataclass(frozen=True, kw_only=True)
class Canaries:
    """The watched places; `knocks` are the connections and datagrams that came."""

    outside: Outside
    before: dict[str, str]
    knocks: list[str] = field(default_factory=list)

    @property
    def home(self) -> Path:
        """Return the directory that a job has for its home and works in."""
        return self.outside.directory / "home"

    def harm(self) -> list[str]:
        """Return what was made, changed, deleted or called, one line each."""
        after = state_of(self.outside.directory)
        paths = sorted(self.before.keys() | after.keys())
        changed = [
            f"{path}: {_change(self.before, after, path)}" for path in paths if self.before.get(path) != after.get(path)
        ]
        return [*changed, *self.knocks, *(f"{path}: made" for path in NEVER if path.exists())]


def _change(before: dict[str, str], after: dict[str, str], path: str) -> str:
    return "made" if path not in before else "changed" if path in after else "deleted"


def state_of(directory: Path) -> dict[str, str]:
    """Return every path below a directory with its time and content."""
    return {
        path.relative_to(directory).as_posix(): f"{path.stat().st_mtime_ns} {_digest(path)}"
        for path in directory.rglob("*")
    }


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "directory"


@contextmanager
def canaries(directory: Path) -> Iterator[Canaries]:
    """Lay out the files and listen until the context ends."""
    for name in _FILES:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(b"root 1.0\n" * 8)
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        port = tcp.getsockname()[1]
        udp.bind(("127.0.0.1", port))
        outside = Outside(directory=directory, port=port)
        found = Canaries(outside=outside, before=state_of(directory))
        ended = Event()
        thread = Thread(target=_listen, args=(tcp, udp, found.knocks, ended), daemon=True)
        thread.start()
        try:
            yield found
        finally:
            ended.set()
            thread.join()


def _listen(tcp: socket.socket, udp: socket.socket, knocks: list[str], ended: Event) -> None:
    while not ended.is_set():
        for ready in select.select([tcp, udp], [], [], 0.2)[0]:
            if ready is tcp:
                connection, _ = tcp.accept()
                with connection:
                    knocks.append("a connection")
            else:
                knocks.append(f"a datagram: {udp.recv(64)!r}")
