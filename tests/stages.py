"""Stages without TensorFlow, for tests of what surrounds them: an artifact's name says what befalls it."""

import errno
import os
import resource
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from job.errors import DeviceError, JobError, Refused
from job.records import ConvertResult, DeviceReport, Finding, KerasResult, Signature, SourceSummary
from job.requests import (
    BenchmarkRequest,
    ConvertRequest,
    DeviceRequest,
    KerasRequest,
    MakeVariantsRequest,
    RaceRequest,
    SourceRequest,
    VerifyRequest,
    WarmUpRequest,
)
from job.results import (
    BenchmarkResult,
    MadeVariant,
    MadeVariants,
    OutputParity,
    ParityResult,
    RaceLap,
    RaceResult,
    Runner,
    WarmUpResult,
)
from job.warm_up import FILE
from tests import mischief


class Stage(NamedTuple):
    """As in `job.engine.stages`."""

    request: type[Any]
    run: Callable[[Any], Any]


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a worker shall do, how often or how long, and where."""

    what: str
    count: int = 0
    device: str = "cpu"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a worker knows of itself."""

    pid: int
    environment: dict[str, str] = field(default_factory=dict)


class ResourceExhaustedError(Exception):
    """Named as TensorFlow's."""


def raise_(error: BaseException) -> None:
    """Raise; a lambda cannot."""
    raise error


def grow() -> None:
    """Ask for more memory than there is."""
    bytearray(1 << 62)


def churn() -> None:
    """Take and free a large block again and again, and note how many pages that took."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        b"x" * (128 * 2**20)
    os.environ["FAULTS"] = str(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)


BEHAVIOURS: Final[dict[str, Callable[[], object]]] = {
    "segfault": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "abort": os.abort,
    "exit": lambda: os._exit(0),
    "chatty": lambda: (os.write(2, b"last words\n"), os.write(1, b"{}\n"), os._exit(3)),
    "hang": lambda: time.sleep(600),
    "slow": lambda: time.sleep(3),
    "grow": grow,
    "churn": churn,
    "exhausted": lambda: raise_(ResourceExhaustedError("OOM when allocating tensor with shape[9,9]\nmore")),
    "full": lambda: raise_(OSError(errno.ENOSPC, "No space left on device", "out/x")),
    "refused": lambda: raise_(Refused("op PyFunc", where="node f", remedy="cut above it")),
    "leak": lambda: raise_(Refused("no", where="https://h/x?X-Amz-Signature=0123456789abcdef")),
    "bug": lambda: raise_(ZeroDivisionError("division by zero")),
    "context_lost": lambda: raise_(RuntimeError("Node: 'MatMul'\nCUDA_ERROR_ILLEGAL_ADDRESS: context lost\n[[x]]")),
    "ecc": lambda: (os.write(2, b"failed to synchronize: CUDA_ERROR_ECC_UNCORRECTABLE: bad\n"), os.abort()),
} | mischief.BEHAVIOURS


def behave(order: Order) -> Seen:
    """Do what is ordered, and tell what can be seen of the environment."""
    BEHAVIOURS.get(order.what, lambda: None)()
    return Seen(pid=os.getpid(), environment=dict(os.environ))


def probe_device(request: DeviceRequest) -> DeviceReport:
    """There is no GPU; looking for one may end the worker, by the variable that names what befalls it."""
    BEHAVIOURS.get(os.environ.get("TF_TEST_PROBE", ""), lambda: None)()
    if request.device == "gpu":
        raise DeviceError("no GPU", remedy="choose --device cpu")
    return DeviceReport(device="cpu", name="")


def inspect(request: SourceRequest) -> ConvertResult:
    """Do what the artifact's name says."""
    summary = SourceSummary(
        format=request.format, node_count=2, signatures=_signatures(request), findings=_findings(request)
    )
    try:
        BEHAVIOURS.get(Path(request.entry).stem, lambda: None)()
    except JobError as error:
        return ConvertResult(summary=summary, error=error.to_record())
    return ConvertResult(summary=summary)


def _signatures(request: SourceRequest) -> tuple[Signature, ...]:
    """Add a signature to a model that is called so, until it was found wanting."""
    keys = ("y", "y_parsed") if Path(request.entry).stem == "second" else ()
    return tuple(
        Signature(key=key, inputs=(), outputs=(), beside="" if key == "y" else "y")
        for key in keys
        if key not in request.unproven
    )


def _findings(request: SourceRequest) -> tuple[Finding, ...]:
    code = "architecture_recognised"
    return (Finding(code=code, cause="it is called so"),) if Path(request.entry).stem == "recognised" else ()


def convert(request: ConvertRequest) -> ConvertResult:
    """Do what the artifact's name says, and write a model."""
    result = inspect(request.source)
    if result.error is None:
        _write(Path(request.source.directory, request.source.entry), Path(request.saved_model))
    return result


def _write(source: Path, written: Path) -> None:
    written.mkdir(exist_ok=True)
    if source.stem == "halfway" and Path(os.environ["TMPDIR"]).name.endswith("-1"):  # the forkserver's first task
        (written / "half").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    (written / "saved_model.pb").write_bytes(source.read_bytes() if source.is_file() else b"")


def verify(request: VerifyRequest) -> ParityResult:
    """Find all well, unless the artifact is called wrong, tangled or unproven, or has a signature that was added."""
    if Path(request.source.entry).stem == "tangled" and request.mode == "as_run" and request.grappler:
        time.sleep(600)
    if Path(request.source.entry).stem == "unproven":
        return ParityResult(mode=request.mode, verdict="not_run", reason="no sample could be run")
    is_wrong = Path(request.source.entry).stem == "wrong" or _is_bold(request)
    outputs = tuple(_failed(one.key) for one in _signatures(request.source) if one.beside)
    return ParityResult(
        mode=request.mode,
        verdict="failed" if is_wrong or outputs else "passed",
        reason="y is off by 1" if is_wrong else "",
        outputs=outputs,
    )


def _is_bold(request: VerifyRequest) -> bool:
    """The bold variant of an artifact that is called rash goes too far."""
    return Path(request.source.entry).stem == "rash" and Path(request.saved_model).name == "bold"


def _failed(key: str) -> OutputParity:
    return OutputParity(signature=key, output="y", tensor="y:0", dtype="float32", verdict="failed", tolerance=0.0)


def write_keras(request: KerasRequest) -> KerasResult:
    """Write a file."""
    Path(request.file).touch()
    return KerasResult()


def verify_keras(request: KerasRequest) -> KerasResult:
    """Find the file to be there."""
    return KerasResult(relative=0.0, reason="" if Path(request.file).exists() else "there is no file")


def warm_up(request: WarmUpRequest) -> WarmUpResult:
    """Write one request, which is none."""
    Path(request.saved_model, FILE).write_bytes(b"request")
    return WarmUpResult(requests=1, size_bytes=7)


def benchmark(request: BenchmarkRequest) -> BenchmarkResult:
    """Measure nothing, or fail."""
    if Path(request.source.entry).stem == "unmeasurable":
        raise ResourceExhaustedError("OOM")
    return BenchmarkResult(verdict="not_run", reason="a test")


def make_variants(request: MakeVariantsRequest) -> MadeVariants:
    """Copy the model twice, and say why a third one is not there."""
    for name in ("plain", "bold"):
        Path(request.directory, name).mkdir()
        data = Path(request.saved_model, "saved_model.pb").read_bytes()
        Path(request.directory, name, "saved_model.pb").write_bytes(data)
    return MadeVariants(
        variants=(
            MadeVariant(name="plain", precision="exact", changes=("a test",)),
            MadeVariant(name="bold", precision="exact", changes=("a test", "another")),
            MadeVariant(name="none", precision="exact", reason="it does not apply"),
        )
    )


def race(request: RaceRequest) -> RaceResult:
    """Let the bold one win, the plain one be faster too; of an artifact that is called tired none is."""
    speeds = (0.5, 0.5) if Path(request.source.entry).stem == "tired" else (1.1, 1.5)
    return RaceResult(
        runners=tuple(
            Runner(name=name, laps=(RaceLap(batch_size=1, ratio=speed, low=speed - 0.05, high=speed + 0.05),))
            for name, speed in zip(("plain", "bold"), speeds, strict=True)
        )
    )


STAGES: Final = {
    "behave": Stage(Order, behave),
    "probe_device": Stage(DeviceRequest, probe_device),
    "inspect": Stage(SourceRequest, inspect),
    "convert": Stage(ConvertRequest, convert),
    "verify": Stage(VerifyRequest, verify),
    "write_keras": Stage(KerasRequest, write_keras),
    "verify_keras": Stage(KerasRequest, verify_keras),
    "warm_up": Stage(WarmUpRequest, warm_up),
    "make_variants": Stage(MakeVariantsRequest, make_variants),
    "race": Stage(RaceRequest, race),
    "benchmark": Stage(BenchmarkRequest, benchmark),
}
