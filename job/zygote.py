"""The zygote: imports TensorFlow, runs no op, and forks a forkserver for every lane that asks for one.

Run by the supervisor as ``python -m job.zygote MODULE SOCKET PARENT``: the module that holds the `STAGES`, the number
of the socket on which lanes ask, and the supervisor's process id. Forking after the import is reliable as long as no op
has run, and hangs once one has (design §4), so neither this process nor a forkserver touches TensorFlow.
"""

import contextlib
import gc
import importlib
import json
import os
import resource
import signal
import socket
import sys
import tempfile
import traceback
import warnings
from select import select
from typing import Any, Final

from job import codec
from job.forkserver import Pipes, end_with_parent, serve
from job.memory_cap import MemoryCap
from job.sandbox import Confinement, prepare

LONGEST_WISH_BYTES: Final = 2**17
DESCRIPTORS: Final = 4
"""That come with a wish: a forkserver's pipes, and the one on which its end is told."""


def main() -> None:
    """Import the stages, and fork until nobody can ask any more."""
    end_with_parent(int(sys.argv[3]))
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prepare()
    Zygote(socket.socket(fileno=int(sys.argv[2])), _stages(sys.argv[1])).work()


class Zygote:
    """Forks what lanes wish for, and tells on the pipe of each how it ended."""

    def __init__(self, wishes: socket.socket, stages: dict[str, Any]) -> None:
        self._wishes, self._stages = wishes, stages
        self._ends: dict[int, int] = {}  # by process id: the pipe on which its end is told
        self._deaths, self._dying = os.pipe()
        for end in (self._deaths, self._dying):
            os.set_blocking(end, False)

    def work(self) -> None:
        """Serve wishes until nobody has the other end of the socket."""
        signal.signal(signal.SIGCHLD, lambda *_: None)  # or none would be written
        signal.set_wakeup_fd(self._dying, warn_on_full_buffer=False)
        while True:
            ready, _, _ = select([self._wishes.fileno(), self._deaths], [], [])
            if self._deaths in ready:
                os.read(self._deaths, 2**12)
                self._tell_ends()
            if self._wishes.fileno() in ready:
                said, descriptors, _, _ = socket.recv_fds(self._wishes, LONGEST_WISH_BYTES, DESCRIPTORS)
                if not said:
                    return
                try:
                    self._fulfil(json.loads(said), descriptors)
                except (OSError, ValueError):  # no process or descriptor is left: whoever wished sees its pipes end
                    traceback.print_exc()
                    for one in descriptors:
                        os.close(one)

    def _fulfil(self, wish: dict[str, Any], descriptors: list[int]) -> None:
        requests, answers, beats, end = descriptors
        parent, child = os.getpid(), os.fork()
        if child == 0:
            status = 1
            try:
                end_with_parent(parent)
                self._let_go(end)
                _settle(wish)
                serve(Pipes(requests=requests, answers=answers, beats=beats), self._stages)
                status = 0
            except BaseException:  # noqa: BLE001 - the log is read where it ended otherwise
                traceback.print_exc()
            finally:
                os._exit(status)
        for one in (requests, answers, beats):
            os.close(one)
        self._ends[child] = end

    def _let_go(self, end: int) -> None:
        """Keep nothing, in a forkserver, of what is the zygote's: others' pipes would not end where they should."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._wishes.close()
        for one in (self._deaths, self._dying, end, *self._ends.values()):
            os.close(one)
        os.setsid()

    def _tell_ends(self) -> None:
        with contextlib.suppress(ChildProcessError):  # there is none left
            while True:
                child, status = os.waitpid(-1, os.WNOHANG)
                if child == 0:
                    return
                end = self._ends.pop(child)
                with contextlib.suppress(OSError):  # nobody wants to know any more
                    os.write(end, str(os.waitstatus_to_exitcode(status)).encode())
                os.close(end)


def _settle(wish: dict[str, Any]) -> None:
    """Be at home in a lane's scratch, and speak to its log."""
    os.environ.update(wish["environment"])
    tempfile.tempdir = None  # it is looked for again
    log = os.open(wish["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)


def _stages(name: str) -> dict[str, Any]:
    """Import the stages' module and make ready what each child would make for itself."""
    gc.disable()  # nearly all that an import makes stays: to look for garbage takes a fifth of its time
    sys.modules["matplotlib"] = None  # type: ignore[assignment] # else Keras imports it for plots that nobody draws
    module = importlib.import_module(name)
    del sys.modules["matplotlib"]  # a user's own code may want it
    stages: dict[str, Any] = module.STAGES
    getattr(module, "fill_caches", lambda: None)()
    codec.prepare(MemoryCap, Confinement, *(stage.request for stage in stages.values()))
    # The heap of an imported TensorFlow is for ever: children that walk it copy its pages and lose half their time.
    gc.collect()
    gc.freeze()
    gc.enable()
    return stages


if __name__ == "__main__":
    main()
