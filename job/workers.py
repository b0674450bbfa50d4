"""Run stages in children of a forkserver, with deadlines; a child's death is an error of its artifact alone."""

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, TypeVar, get_args

import structlog

from job import codec
from job.errors import Internal, JobError, Poison, from_record
from job.records import ErrorRecord, StageTiming

log = structlog.get_logger()

Result = TypeVar("Result")
Mode = Literal["exact", "as_run"]
MODES: Final[tuple[Mode, ...]] = get_args(Mode)

PASSED_ON: Final = ("PATH", "HOME", "LANG", "USER", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "LD_PRELOAD")
PASSED_ON_PREFIXES: Final = ("LC_", "CUDA_", "NVIDIA_", "TF_", "XLA_", "PYTHON", "OMP_", "OPENBLAS_", "NCCL_")
"""What a worker may know of the environment: no credentials, no endpoints."""

STAGES_MODULE: Final = "job.engine.stages"
START_TIMEOUT_S: Final = 180
TAIL_BYTES: Final = 8192


class Crashed(Poison):
    """A worker ended without a result: by memory, a signal or the machine, so that another try may do better."""


class Forkserver(AbstractContextManager["Forkserver"]):
    """A process that has imported TensorFlow and forks a child for each stage.

    ``exact`` runs without oneDNN: whether TensorFlow uses it is decided while it is imported, so
    that the two settings need two forkservers. It starts at once and is waited for at the first
    stage. One that has died is started again, once.
    """

    def __init__(self, mode: Mode, scratch: Path, environment: Mapping[str, str], stages: str = STAGES_MODULE) -> None:
        self._mode, self._scratch, self._environment, self._stages = mode, scratch, environment, stages
        self._process = self._start()
        self._is_ready = False
        self._may_restart = True
        self._tasks = 0

    def run(self, stage: str, request: object, result: type[Result], *, timeout_s: float) -> tuple[Result, StageTiming]:
        """Run one stage in a fresh child and return its result and what it took.

        Raises what the stage raised, `Crashed` where the child left no result, `Poison` where it hung, and
        `Internal` where the forkserver itself died.
        """
        self._await_ready()
        start, self._tasks = time.monotonic(), self._tasks + 1
        files = {name: str(self._scratch / f"{self._mode}-{self._tasks}.{name}") for name in ("result", "log")}
        self._send({"stage": stage, "request": codec.dump(request), **files})
        pid = self._receive(START_TIMEOUT_S)["pid"]
        try:
            ended = self._await_end(pid, stage, timeout_s)
        finally:
            _kill(pid)
        timing = StageTiming(
            stage=stage, wall_s=round(time.monotonic() - start, 3), peak_memory_bytes=ended["peak_memory_bytes"]
        )
        return _result(files, stage, ended["status"], result), timing

    def close(self) -> None:
        """End the forkserver; a child at work ends with it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> "subprocess.Popen[bytes]":
        environment = {name: value for name, value in self._environment.items() if _may_pass(name)}
        environment["TMPDIR"] = str(self._scratch)  # autograph leaves files there, which go with the rest
        environment |= {"TF_CPP_MIN_LOG_LEVEL": "2"} | ({"TF_ENABLE_ONEDNN_OPTS": "0"} if self._mode == "exact" else {})
        with (self._scratch / f"{self._mode}.log").open("ab") as errors:
            return subprocess.Popen(
                [sys.executable, "-m", "job.zygote", self._stages],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,  # a line that waits in a buffer of ours is none that select sees
                stderr=errors,
                env=environment,
                cwd=Path(__file__).parent.parent,
                start_new_session=True,
            )

    def _await_ready(self) -> None:
        if self._is_ready and self._may_restart and self._process.poll() is not None:
            log.warning("forkserver_restarted", mode=self._mode, ended=_ending(self._process.returncode))
            self.close()
            self._process, self._is_ready, self._may_restart = self._start(), False, False
        if not self._is_ready:
            self._receive(START_TIMEOUT_S)
            self._is_ready = True

    def _await_end(self, pid: int, stage: str, timeout_s: float) -> dict[str, Any]:
        """Return what the forkserver says of its child's end; a child that overstays is stopped."""
        if self._has_answer(timeout_s):
            return self._answer()
        _kill(pid)
        self._receive(START_TIMEOUT_S)
        raise Poison(
            f"the {stage} stage did not end within {timeout_s:g} s and was stopped",
            remedy="raise --stage-timeout-s, or look for an endless loop",
        )

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
        except OSError as error:
            raise self._gone() from error

    def _receive(self, timeout_s: float) -> dict[str, Any]:
        """Return the forkserver's next answer; one that says nothing is ended."""
        if not self._has_answer(timeout_s):
            self._process.kill()
            what = f"the process that holds TensorFlow said nothing for {timeout_s:g} s"
            raise Internal(what, remedy="is the machine overloaded?")
        return self._answer()

    def _has_answer(self, timeout_s: float) -> bool:
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            return bool(selector.select(timeout_s))

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        line = self._process.stdout.readline()
        if not line:
            raise self._gone()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _gone(self) -> JobError:
        said = _tail(self._scratch / f"{self._mode}.log").strip().splitlines()[-1:]
        reason = said[0] if said else _ending(self._process.wait())
        return Internal(
            f"the process that holds TensorFlow ended: {reason}",
            remedy="is TensorFlow installed and the memory sufficient?",
        )


def _kill(pid: int) -> None:
    """End whatever a child left running in its process group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _result(files: Mapping[str, str], stage: str, status: int, kind: type[Result]) -> Result:
    path, tail = Path(files["result"]), _tail(Path(files["log"]))
    if not path.exists():
        raise _died(stage, _ending(os.waitstatus_to_exitcode(status)), tail)
    outcome = json.loads(path.read_bytes())
    for file in files.values():
        Path(file).unlink(missing_ok=True)
    if "error" in outcome:
        record = codec.loads(json.dumps(outcome["error"]), ErrorRecord)
        if record.code_name in (Internal.code_name, Poison.code_name):
            log.warning("worker_failed", stage=stage, output=tail)
        raise from_record(record)
    return codec.loads(json.dumps(outcome["result"]), kind)


def _died(stage: str, ending: str, tail: str) -> Crashed:
    log.warning("worker_died", stage=stage, ended=ending, output=tail)
    is_memory = "SIGKILL" in ending or "bad_alloc" in tail
    remedy = "was the memory exhausted? log.jsonl holds what it said last" if is_memory else "see log.jsonl"
    return Crashed(f"the worker ended in the {stage} stage without a result ({ending})", remedy=remedy)


def _ending(returncode: int) -> str:
    """Say how a process ended; `subprocess` and `os.waitstatus_to_exitcode` count signals below zero."""
    name = next((known.name for known in signal.Signals if known == -returncode), str(-returncode))
    return f"signal {name}" if returncode < 0 else f"status {returncode}"


def _tail(path: Path) -> str:
    """Return the end of what a process said; it may have died before it said anything."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            return file.read(TAIL_BYTES).decode(errors="backslashreplace")
    except OSError:
        return ""


def _may_pass(name: str) -> bool:
    return name in PASSED_ON or name.startswith(PASSED_ON_PREFIXES)
