"""Who is measured, and how each runs one batch: the TF1 graph in a Session, the SavedModel, and its fast variant."""

import time
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any, Literal, NamedTuple, TypeVar

import tensorflow as tf
from numpy.typing import NDArray

from job.engine.inputs import Inputs
from job.engine.resident import ResidentGraph, resident_call
from job.engine.runners import Baseline, Candidate
from job.engine.source_graph import SourceGraph
from job.latency import Call
from job.records import Signature
from job.requests import BenchmarkRequest

Feeding = Literal["host", "device"]
Loaded = TypeVar("Loaded")


class Contest:
    """All contenders, loaded one after another, the baseline first, with what loading each took.

    `weights_bytes` is of a GPU's memory; of a CPU's nothing can be told of one among several in a process.
    """

    def __init__(self, source: SourceGraph, inputs: Inputs, request: BenchmarkRequest) -> None:
        self._source, self.inputs, self._device = source, inputs, request.device
        self.load_ms: dict[str, float] = {}
        self.weights_bytes: dict[str, int] = {}
        self.baseline = self._timed("baseline", lambda: Baseline(source, "as_run"))
        directories = {"candidate": request.saved_model} | ({"fast": request.fast} if request.fast else {})
        self.candidates = {
            name: self._timed(name, partial(Candidate, directory)) for name, directory in directories.items()
        }

    @property
    def names(self) -> tuple[str, ...]:
        """Return the contenders, the baseline first."""
        return ("baseline", *self.candidates)

    @property
    def feedings(self) -> tuple[Feeding, ...]:
        """Return from where inputs come, where that makes a difference."""
        return ("host", "device") if self._device == "gpu" else ("host",)

    def calls(self, batch: int, feeding: Feeding = "host") -> dict[str, Call]:
        """Return the calls of one batch, by contender."""
        signature, feeds = self.inputs.signature, self.inputs.batch(batch)
        if feeding == "device":
            resident = {"baseline": self._resident_baseline.call(signature, feeds)}
            return resident | {
                name: resident_call(one, signature, feeds, self._device) for name, one in self.candidates.items()
            }
        return {"baseline": session_call(self.baseline.callable(signature), feeds)} | {
            name: host_fed_call(one, signature, feeds) for name, one in self.candidates.items()
        }

    @cached_property
    def _resident_baseline(self) -> ResidentGraph:
        return ResidentGraph(self._source, self.inputs.signature)

    def _timed(self, name: str, load: Callable[[], Loaded]) -> Loaded:
        held_bytes, start_s = gpu_memory_bytes(self._device).current, time.perf_counter()
        loaded = load()
        self.load_ms[name] = (time.perf_counter() - start_s) * 1e3
        self.weights_bytes[name] = gpu_memory_bytes(self._device).current - held_bytes
        return loaded


def session_call(run: Callable[..., object], feeds: Sequence[NDArray[Any]]) -> Call:
    """Return a call of a Session's callable, which takes arrays and returns arrays."""

    def call() -> None:
        run(*feeds)

    return call


def host_fed_call(candidate: Candidate, signature: Signature, feeds: Sequence[NDArray[Any]]) -> Call:
    """Return a call of a SavedModel's signature that takes arrays and returns arrays, as a Session does."""
    function = candidate.callable(signature)

    def call() -> None:
        for tensor in function(*candidate.tensors(signature, feeds)):
            tensor.numpy()

    return call


class GpuMemory(NamedTuple):
    """What TensorFlow holds of the first GPU's memory, now and at most; nothing on a CPU."""

    current: int = 0
    peak: int = 0


def gpu_memory_bytes(device: str, *, reset: bool = False) -> GpuMemory:
    """Return what is held; with `reset`, the peak begins anew."""
    if device != "gpu":
        return GpuMemory()
    if reset:
        tf.config.experimental.reset_memory_stats("GPU:0")
    return GpuMemory(**tf.config.experimental.get_memory_info("GPU:0"))
