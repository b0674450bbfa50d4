"""The forkserver: imports TensorFlow, runs no op, and forks one child for every stage it is asked for.

Run by the supervisor as ``python -m job.zygote MODULE BEATS``: the module that holds the `STAGES`, and the number
of the pipe on which children prove that they live. Forking
after the import is reliable as long as no op has run, and hangs once one has (design §4), so the
parent never touches TensorFlow. Requests and answers are JSON lines on standard input and output; a
stage's result is a file, written whole or not at all: a child that ended without one has failed,
whatever its status says.
"""

import contextlib
import ctypes
import errno
import faulthandler
import gc
import importlib
import json
import os
import resource
import signal
import sys
import threading
import time
import traceback
import warnings
from pathlib import Path
from typing import IO, Any, Final

from job import codec
from job.device_faults import device_error, fault_in
from job.errors import Internal, JobError, LocalIOError, Poison
from job.memory_cap import MemoryCap, give
from job.processes import children_of, kill_all
from job.sandbox import Confinement, confine, prepare

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_PR_SET_CHILD_SUBREAPER: Final = 36

BEAT_S: Final = 1.0
SPARE_DATA_BYTES: Final = 2**30
"""Address space that threads' stacks and malloc's arenas take and hardly touch."""


def main() -> None:
    """Import the stages, say so, and serve until standard input ends."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    answers, beats = os.fdopen(os.dup(1), "w", buffering=1), int(sys.argv[2])
    os.dup2(2, 1)
    os.set_blocking(beats, False)
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prepare()
    stages = _stages(sys.argv[1])
    _say(answers, ready=1)
    for line in sys.stdin:
        task = json.loads(line)
        parent, child = os.getpid(), os.fork()
        if child == 0:
            os.close(answers.fileno())
            _work(stages[task["stage"]], task, parent, beats)
        _say(answers, pid=child)
        status, usage = _reap(child)
        _say(answers, status=status, peak_memory_bytes=usage.ru_maxrss * 1024)


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
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the kernel was asked
            return
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


if __name__ == "__main__":
    main()
