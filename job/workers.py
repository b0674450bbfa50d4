"""Run stages in children of a forkserver, with deadlines; a child's death is an error of its artifact alone."""

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, TypeVar

import structlog

from job import codec
from job.errors import Internal, JobError, LocalIOError, Poison, from_record
from job.records import ErrorRecord, StageTiming

log = structlog.get_logger()

Result = TypeVar("Result")
Mode = Literal["exact", "as_run"]

PASSED_ON: Final = ("PATH", "HOME", "LANG", "USER", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "LD_PRELOAD")
PASSED_ON_PREFIXES: Final = ("LC_", "CUDA_", "NVIDIA_", "TF_", "XLA_", "PYTHON", "OMP_", "OPENBLAS_", "NCCL_")
"""What a worker may know of the environment: no credentials, no endpoints."""

START_TIMEOUT_S: Final = 180
TAIL_BYTES: Final = 8192


class Forkserver:
    """A process that has imported TensorFlow and forks a child for each stage.

    ``exact`` runs without oneDNN: whether TensorFlow uses it is decided while it is imported, so
    that the two settings need two forkservers. It starts at once and is waited for at the first stage.
    """

    def __init__(self, mode: Mode, scratch: Path, environment: Mapping[str, str]) -> None:
        self._mode, self._scratch, self._environment = mode, scratch, environment
        self._process = self._start()
        self._is_ready = False
        self._tasks = 0

    def run(self, stage: str, request: object, result: type[Result], *, timeout_s: float) -> tuple[Result, StageTiming]:
        """Run one stage in a fresh child and return its result and what it took.

        Raises what the stage raised, and `Poison` where the child crashed, hung or left no result.
        """
        self._await_ready()
        start, self._tasks = time.monotonic(), self._tasks + 1
        files = {name: str(self._scratch / f"{self._mode}-{self._tasks}.{name}") for name in ("result", "log")}
        self._send({"stage": stage, "request": codec.dump(request), **files})
        pid = self._receive(timeout_s, stage)["pid"]
        try:
            ended = self._receive(timeout_s, stage, pid)
        finally:
            self._kill(pid)
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

    def __enter__(self) -> "Forkserver":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> "subprocess.Popen[bytes]":
        environment = {name: value for name, value in self._environment.items() if _may_pass(name)}
        environment |= (
            {"TF_CPP_MIN_LOG_LEVEL": "2", "TF_ENABLE_ONEDNN_OPTS": "0"}
            if self._mode == "exact"
            else {"TF_CPP_MIN_LOG_LEVEL": "2"}
        )
        with (self._scratch / f"{self._mode}.log").open("ab") as errors:
            return subprocess.Popen(
                [sys.executable, "-m", "job.zygote"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,  # a line that waits in a buffer of ours is none that select sees
                stderr=errors,
                env=environment,
                cwd=Path(__file__).parent.parent,
                start_new_session=True,
            )

    def _await_ready(self) -> None:
        if not self._is_ready:
            self._receive(START_TIMEOUT_S, "start")
            self._is_ready = True

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise self._gone() from error

    def _receive(self, timeout_s: float, stage: str, pid: int = 0) -> dict[str, Any]:
        """Return the forkserver's next line; a child that overstays is killed and is `Poison`."""
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            in_time = selector.select(timeout_s)
        if not in_time:
            self._kill(pid)
            if pid:
                self._process.stdout.readline()
            raise Poison(
                f"the {stage} stage did not end within {timeout_s:g} s and was stopped",
                remedy="raise --stage-timeout-s, or look for an endless loop",
            )
        line = self._process.stdout.readline()
        if not line:
            raise self._gone()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _gone(self) -> JobError:
        text = _tail(self._scratch / f"{self._mode}.log").strip().splitlines()
        reason = text[-1] if text else "without a word"
        return Internal(
            f"the process that holds TensorFlow ended: {reason}",
            remedy="is TensorFlow installed and the memory sufficient?",
        )

    @staticmethod
    def _kill(pid: int) -> None:
        """End whatever the child left running in its process group."""
        if pid:
            try:
                os.killpg(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                return


def _result(files: Mapping[str, str], stage: str, status: int, kind: type[Result]) -> Result:
    path, tail = Path(files["result"]), _tail(Path(files["log"]))
    if not path.exists():
        ended = (
            f"signal {signal.Signals(os.WTERMSIG(status)).name}"
            if os.WIFSIGNALED(status)
            else f"status {os.waitstatus_to_exitcode(status)}"
        )
        log.warning("worker_died", stage=stage, ended=ended, output=tail)
        raise Poison(
            f"the worker ended in the {stage} stage without a result ({ended})",
            remedy="see log.jsonl for what it said last",
        )
    outcome = json.loads(path.read_bytes())
    for file in files.values():
        Path(file).unlink(missing_ok=True)
    if "error" in outcome:
        record = codec.loads(json.dumps(outcome["error"]), ErrorRecord)
        if record.code_name == Internal.code_name:
            log.warning("worker_failed", stage=stage, output=tail)
        raise from_record(record)
    return codec.loads(json.dumps(outcome["result"]), kind)


def _tail(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise LocalIOError(f"cannot read {path}", remedy=str(error)) from error
    return data[-TAIL_BYTES:].decode(errors="backslashreplace")


def _may_pass(name: str) -> bool:
    return name in PASSED_ON or name.startswith(PASSED_ON_PREFIXES)
