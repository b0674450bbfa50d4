"""What a worker is told to do, and what it left when it ended."""

import json
import os
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import structlog

from job import codec
from job.device_faults import device_error, fault_in
from job.errors import (
    BadInput,
    DeviceError,
    Incomplete,
    Internal,
    JobError,
    LocalIOError,
    ParityFailed,
    Poison,
    Refused,
    UsageError,
    from_record,
)
from job.machine import WHOLE, Place
from job.memory_cap import MemoryCap
from job.records import ErrorRecord
from job.sandbox import OFF, Confinement, Sandbox
from job.sandbox.needs import confinement_of
from job.task_files import NoRecord, TaskFiles
from job.zygote_process import ending

log = structlog.get_logger()

Result = TypeVar("Result")

WORKERS_ERRORS: Final = (
    UsageError,
    BadInput,
    Incomplete,
    ParityFailed,
    Refused,
    Poison,
    Internal,
    LocalIOError,
    DeviceError,
)
"""What a worker may end with. The others speak of the store or the run, of which it knows nothing, and may end it."""


class Crashed(Poison):
    """A worker ended without a result: by memory, a signal or the machine, so that another try may do better."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What one worker is to do, and with what."""

    stage: str
    request: object
    timeout_s: float
    files: TaskFiles
    sandbox: Sandbox = OFF
    place: Place = WHOLE

    @property
    def on_gpu(self) -> bool:
        """Tell whether the stage may touch a GPU."""
        return getattr(self.request, "device", "cpu") in ("gpu", "auto")

    @property
    def confinement(self) -> Confinement:
        """Return what the worker is let at."""
        return confinement_of(
            self.stage, self.request, scratch=self.files.directory, sandbox=self.sandbox, on_gpu=self.on_gpu
        )

    def message(self, memory: MemoryCap) -> dict[str, Any]:
        """Return what the forkserver is told; CUDA reserves more address space than any limit allows."""
        return {
            "stage": self.stage,
            "request": codec.dump(self.request),
            "confinement": codec.dump(self.confinement),
            "result": str(self.files.result),
            "log": str(self.files.log),
            "memory": codec.dump(memory),
            "memory_bytes": 0 if self.on_gpu else memory.limit_bytes,
            "on_gpu": self.on_gpu,
            "gpu": self.place.gpu,
        }


def result_of(task: Task, status: int, kind: type[Result]) -> Result:
    """Return what a task's child, which ended with that wait status, left as its result.

    Raises what the stage raised, and `Crashed` or a `DeviceError` where the child left no result.
    """
    try:
        outcome = task.files.outcome()
        if "error" in outcome:
            raise _raised(codec.loads(json.dumps(outcome["error"]), ErrorRecord), task)
        result = codec.loads(json.dumps(outcome["result"]), kind)
    except NoRecord as none:
        raise _died(task, str(none), ending(os.waitstatus_to_exitcode(status))) from none
    except ValueError as error:
        raise _died(task, "with a result that is no record", str(error)[:200]) from error
    told = getattr(result, "error", None)
    if isinstance(told, ErrorRecord):
        _check(told, task)
    return result


def _raised(record: ErrorRecord, task: Task) -> JobError:
    if record.code_name in (Internal.code_name, Poison.code_name):
        log.warning("worker_failed", stage=task.stage, output=task.files.tail())
    _check(record, task)
    return from_record(record)


def _check(record: ErrorRecord, task: Task) -> None:
    """Let no worker end with an error that would end more than itself."""
    if record.code_name not in {error.code_name for error in WORKERS_ERRORS}:
        raise _died(task, f"with an error that is no worker's ({record.code_name[:40]})", "a record")


def _died(task: Task, how: str, end: str) -> JobError:
    tail = task.files.tail()
    log.warning("worker_died", stage=task.stage, ended=end, output=tail)
    if task.on_gpu and (fault := fault_in(tail)):
        return device_error(task.stage, fault)
    is_memory = "SIGKILL" in end or "bad_alloc" in tail
    remedy = "was the memory exhausted? log.jsonl holds what it said last" if is_memory else "see log.jsonl"
    return Crashed(f"the worker ended in the {task.stage} stage {how} ({end})", remedy=remedy)
