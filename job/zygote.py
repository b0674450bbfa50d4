"""The forkserver: imports TensorFlow, runs no op, and forks one child for every stage it is asked for.

Run by the supervisor as ``python -m job.zygote MODULE``, the module that holds the `STAGES`. Forking
after the import is reliable as long as no op has run, and hangs once one has (design §4), so the
parent never touches TensorFlow. Requests and answers are JSON lines on standard input and output; a
stage's result is a file, written whole or not at all: a child that ended without one has failed,
whatever its status says.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import resource
import signal
import sys
import traceback
import warnings
from pathlib import Path
from typing import IO, Any, Final

from job import codec
from job.errors import Internal, JobError, LocalIOError, Poison

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


def main() -> None:
    """Import the stages, say so, and serve until standard input ends."""
    _die_with_parent()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    stages = importlib.import_module(sys.argv[1]).STAGES
    # The heap of an imported TensorFlow is for ever: children that walk it copy its pages and lose half their time.
    gc.collect()
    gc.freeze()
    _say(answers, ready=True)
    for line in sys.stdin:
        task = json.loads(line)
        parent, child = os.getpid(), os.fork()
        if child == 0:
            _work(stages[task["stage"]], task, parent)
        _say(answers, pid=child)
        _, status, usage = os.wait4(child, 0)
        _say(answers, status=status, peak_memory_bytes=usage.ru_maxrss * 1024)


def _die_with_parent() -> None:
    """Ask the kernel to end this process with its parent, however that ends; Linux alone can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _say(answers: IO[str], **fields: Any) -> None:
    answers.write(json.dumps(fields) + "\n")


def _work(stage: Any, task: dict[str, Any], parent: int) -> None:
    """Run one stage in the child and leave; nothing of the parent's may run afterwards."""
    try:
        _die_with_parent()
        if os.getppid() != parent:  # it died before the kernel was asked
            return
        os.setsid()
        log = os.open(task["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for stream in (1, 2):
            os.dup2(log, stream)
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        outcome = _outcome(stage, task)
        part = Path(task["result"] + ".part")
        part.write_text(json.dumps(outcome), encoding="utf-8")
        part.rename(task["result"])
    except BaseException:  # noqa: BLE001 - whatever it is, the supervisor reads the log, not this stack
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(0)


def _outcome(stage: Any, task: dict[str, Any]) -> dict[str, Any]:
    try:
        request = codec.loads(json.dumps(task["request"]), stage.request)
        return {"result": codec.dump(stage.run(request))}
    except Exception as error:  # noqa: BLE001 - whatever TensorFlow raises that no stage has translated
        if not isinstance(error, JobError):
            traceback.print_exc()
        return {"error": codec.dump(_job_error(error, task["stage"]).to_record(stage=task["stage"]))}


def _job_error(error: Exception, stage: str) -> JobError:
    """Translate what left a stage; TensorFlow's out-of-memory error is known by its name, disk-full by its text."""
    if isinstance(error, JobError):
        return error
    line = next(iter(str(error).splitlines()), "no message")[:300]
    if isinstance(error, OSError) or "No space left on device" in line:
        return LocalIOError(f"local file error in the {stage} stage: {line}", remedy="free space, or choose --scratch")
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        remedy = "give the job a machine or a GPU with more memory, or name smaller batch_sizes in the manifest"
        return Poison(f"out of memory in the {stage} stage: {line}", remedy=remedy)
    return Internal(f"{type(error).__name__}: {line}", remedy="please report it with log.jsonl")


if __name__ == "__main__":
    main()
