import os
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from job.errors import Poison
from job.sandbox import OFF
from job.workers import Forkserver, Limits
from tests.engine.sandbox.ops import CALLS, Call, Outcome
from tests.sandbox.machine import FULL, needs_newest

READS = {name for name in CALLS if name.startswith("ReadFile")} | {"MatchingFiles", "TextLineDataset"}
SPEAKS = {"DebugIdentityV3", "DataServiceDataset"}
PATIENCE_S = 20
SPEAKS_WITHIN_S = 8  # it has called by then, and waits for ever

pytestmark = [needs_newest, pytest.mark.slow]


@pytest.fixture(scope="module")
def forkservers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Forkserver]]:
    """Start one whose children are confined and one whose children are not."""
    places = {name: tmp_path_factory.mktemp(name) for name in ("confined", "free")}
    module = "tests.engine.sandbox.ops"
    with (
        Forkserver("exact", places["confined"], os.environ, module, limits=Limits(sandbox=FULL)) as confined,
        Forkserver("exact", places["free"], os.environ, module, limits=Limits(sandbox=OFF)) as free,
    ):
        yield {"confined": confined, "free": free}


class Listener:
    """A port of this machine that counts who calls, and answers nobody."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.callers = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                caller, _ = self._socket.accept()
                self.callers += 1
                caller.close()

    def close(self) -> None:
        """Listen no more."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    """Listen while a test runs."""
    listener = Listener()
    yield listener
    listener.close()


@pytest.fixture
def outside(tmp_path: Path, forkservers: dict[str, Forkserver]) -> Path:
    """Return a directory that is no worker's, with a text and a checkpoint in it."""
    (tmp_path / "victim").write_text("worth keeping", encoding="ascii")
    forkservers["free"].run("make_old", Call(op="", outside=str(tmp_path)), Outcome, timeout_s=60)
    return tmp_path


def called(op: str, outside: Path, listener: Listener, forkserver: Forkserver) -> Outcome:
    """Have a worker run an op; one that waits for an answer for ever is stopped."""
    request = Call(op=op, outside=str(outside), port=listener.port)
    timeout_s = SPEAKS_WITHIN_S if op in SPEAKS else PATIENCE_S
    try:
        return forkserver.run("call", request, Outcome, timeout_s=timeout_s)[0]
    except Poison as error:
        return Outcome(error=str(error))


def files(directory: Path) -> dict[str, bytes]:
    """Return what is in a directory and below."""
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in directory.rglob("*")}


@pytest.mark.parametrize("op", CALLS)
def test_op_cannot_touch_its_host(
    op: str, outside: Path, listener: Listener, forkservers: dict[str, Forkserver]
) -> None:
    """With no policy before it, an op reads nothing, writes nothing, deletes nothing and calls nobody."""
    before = files(outside)
    outcome = called(op, outside, listener, forkservers["confined"])
    assert outcome.error or op == "MatchingFiles"
    assert "victim" not in outcome.given
    assert files(outside) == before
    assert listener.callers == 0


@pytest.mark.parametrize("op", CALLS)
def test_op_touches_it_without_a_sandbox(
    op: str, outside: Path, listener: Listener, forkservers: dict[str, Forkserver]
) -> None:
    """So that the test above holds something."""
    before = files(outside)
    outcome = called(op, outside, listener, forkservers["free"])
    if op in SPEAKS:
        assert listener.callers > 0
    elif op in READS:
        assert outcome.given
        assert not outcome.error
    else:
        assert files(outside) != before
