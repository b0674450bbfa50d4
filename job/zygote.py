"""The forkserver: imports TensorFlow, runs no op, and forks one child for every stage it is asked for.

Run by the supervisor as ``python -m job.zygote``. Forking after the import is reliable as long as
no op has run, and hangs once one has (design §4), so the parent never touches TensorFlow.
Requests and answers are JSON lines on standard input and output; a stage's result is a file,
written whole or not at all: a child that ended without one has failed, whatever its status says.
"""

import contextlib
import json
import os
import resource
import sys
import traceback
import warnings
from pathlib import Path
from typing import IO, Any

from job import codec
from job.errors import Internal, JobError


def main() -> None:
    """Import the engine, say so, and serve until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from job.engine.stages import STAGES  # noqa: PLC0415 - the import is what this process is for

    _say(answers, ready=True)
    for line in sys.stdin:
        task = json.loads(line)
        child = os.fork()
        if child == 0:
            _work(STAGES[task["stage"]], task)
        _say(answers, pid=child)
        _, status, usage = os.wait4(child, 0)
        _say(answers, status=status, peak_memory_bytes=usage.ru_maxrss * 1024)


def _say(answers: IO[str], **fields: Any) -> None:
    answers.write(json.dumps(fields) + "\n")


def _work(stage: Any, task: dict[str, Any]) -> None:
    """Run one stage in the child and leave; nothing of the parent's may run afterwards."""
    try:
        os.setsid()
        log = os.open(task["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for stream in (1, 2):
            os.dup2(log, stream)
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        outcome = _outcome(stage, task)
        part = Path(task["result"] + ".part")
        part.write_text(json.dumps(outcome))
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
    except JobError as error:
        return {"error": codec.dump(error.to_record(stage=task["stage"]))}
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - a bug of ours, or an error of TensorFlow's that nothing translated
        traceback.print_exc()
        what = f"{type(error).__name__}: {str(error).splitlines()[0][:300] if str(error) else 'no message'}"
        return {
            "error": codec.dump(Internal(what, remedy="please report it with log.jsonl").to_record(stage=task["stage"]))
        }


if __name__ == "__main__":
    main()
