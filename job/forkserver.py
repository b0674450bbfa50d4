"""A forkserver: forks one child for every stage that it is asked for, in what `job.zygote` has imported.

Requests and answers are JSON lines; a stage's result is a file, written whole or not at all: a child that ended
without one has failed, whatever its status says.
"""

import contextlib
import ctypes
import errno
import faulthandler
import json
import os
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from job import codec
from job.device_faults import device_error, fault_in
from job.errors import Internal, JobError, LocalIOError, Poison
from job.memory_cap import MemoryCap, give
from job.processes import children_of, kill_all
from job.sandbox import Confinement, confine

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_PR_SET_CHILD_SUBREAPER: Final = 36

BEAT_S: Final = 1.0
SPARE_DATA_BYTES: Final = 2**30
"""Address space that threads' stacks and malloc's arenas take and hardly touch."""


@dataclass(frozen=True, kw_only=True)
class Pipes:
    """The ends that a forkserver has of what joins it to the supervisor, as file descriptors.

    On `beats` its children prove that they live.
    """

    requests: int
    answers: int
    beats: int


def serve(pipes: Pipes, stages: Mapping[str, Any]) -> None:
    """Serve until the requests end."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    os.set_blocking(pipes.beats, False)
    answers = os.fdopen(pipes.answers, "w", buffering=1)
    _say(answers, ready=1, pid=os.getpid())
    for line in os.fdopen(pipes.requests):
        task = json.loads(line)
        parent, child = os.getpid(), os.fork()
        if child == 0:
            for pipe in (pipes.requests, pipes.answers):
                os.close(pipe)
            _work(stages[task["stage"]], task, parent, pipes.beats)
        _say(answers, pid=child)
        status, usage = _reap(child)
        _say(answers, status=status, peak_memory_bytes=usage.ru_maxrss * 1024)


def end_with_parent(parent: int) -> None:
    """Ask the kernel to end this process with its parent, and end at once if that has ended already."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def _prctl(option: int, value: int) -> None:
    """Ask the kernel to end this process with its parent, or to give it its descendants' orphans; Linux alone can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value)


def _say(answers: IO[str], **fields: int) -> None:
    answers.write(json.dumps(fields) + "\n")


def _reap(child: int) -> tuple[int, resource.struct_rusage]:
    """Wait for a child, and leave nothing alive that it has started."""
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)  # its number is still taken, so that the group can be no other's
    _, status, usage = os.wait4(child, 0)
    with contextlib.suppress(ChildProcessError):  # there is none left
        while True:
            kill_all(children_of(os.getpid()))
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.001)
    return status, usage


def _work(stage: Any, task: dict[str, Any], parent: int, beats: int) -> None:
    """Run one stage in the child and leave; nothing of the parent's may run afterwards."""
    try:
        end_with_parent(parent)
        os.setsid()
        _say_to(task["log"])
        if task["gpu"]:
            os.environ["CUDA_VISIBLE_DEVICES"] = task["gpu"]  # which CUDA reads when it is first used: after this
        _limit_memory(task["memory_bytes"])
        give(codec.loads(json.dumps(task["memory"]), MemoryCap))
        outcome = json.dumps(_outcome(stage, task, beats))
        part = Path(task["result"] + ".part")
        part.write_text(outcome, encoding="utf-8")
        part.rename(task["result"])
    except BaseException:  # noqa: BLE001 - whatever it is, the supervisor reads the log, not this stack
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(0)


def _say_to(path: str) -> None:
    """Let the child speak to its log alone; what crashes or hangs it says there where it was."""
    log = os.open(path, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    faulthandler.enable(2)
    faulthandler.register(signal.SIGUSR1, 2)


def _limit_memory(memory_bytes: int) -> None:
    """Let the kernel end this process first where memory ends, and deny it what it must not hold.

    The supervisor looks at what is held; this bounds what one call may take before it looks again. 0 is
    for no such bound: CUDA reserves far more than it takes.
    """
    with contextlib.suppress(OSError):  # a container may deny it
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    with contextlib.suppress(OSError, ValueError):
        if memory_bytes:
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])
            limit = pages * resource.getpagesize() + memory_bytes + SPARE_DATA_BYTES
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _beat(beats: int) -> None:
    """Prove once a second that the interpreter runs."""
    while True:
        with contextlib.suppress(BlockingIOError):  # nobody listens for the moment
            os.write(beats, b".")
        time.sleep(BEAT_S)


def _outcome(stage: Any, task: dict[str, Any], beats: int) -> dict[str, Any]:
    name = task["stage"]
    try:
        confine(codec.loads(json.dumps(task["confinement"]), Confinement))  # and all threads that come after
        threading.Thread(target=_beat, args=(beats,), daemon=True).start()
        request = codec.loads(json.dumps(task["request"]), stage.request)
        outcome = {"result": codec.dump(stage.run(request))}
        said = json.dumps(outcome)
    except Exception as error:  # noqa: BLE001 - whatever TensorFlow raises that no stage has translated
        if not isinstance(error, JobError):
            traceback.print_exc()
        outcome = _as_outcome(_job_error(error, name), name)
        said = str(error)
    fault = fault_in(said) if task["on_gpu"] else ""
    return _as_outcome(device_error(name, fault), name) if fault else outcome  # whatever the stage made of it


def _as_outcome(error: JobError, stage: str) -> dict[str, Any]:
    return {"error": codec.dump(error.to_record(stage=stage))}


def _job_error(error: Exception, stage: str) -> JobError:
    """Translate what left a stage; TensorFlow's out-of-memory error is known by its name, disk-full by its text."""
    if isinstance(error, JobError):
        return error
    line = next(iter(str(error).splitlines()), "no message")[:300]
    if _is_memory(error):
        remedy = "give the job a machine or a GPU with more memory, or name smaller batch_sizes in the manifest"
        return Poison(f"out of memory in the {stage} stage: {line}", remedy=remedy)
    if isinstance(error, OSError) or "No space left on device" in line:
        return LocalIOError(f"local file error in the {stage} stage: {line}", remedy="free space, or choose --scratch")
    return Internal(f"{type(error).__name__}: {line}", remedy="please report it with log.jsonl")


def _is_memory(error: Exception) -> bool:
    is_denied = isinstance(error, OSError) and error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError" or is_denied
