"""How a model compares with the TF1 graph, in answers and in speed: plain data, as all records are."""

from dataclasses import dataclass, field
from typing import Literal

Precision = Literal["exact", "reduced"]
"""What a variant may change: ``exact`` the order of arithmetic alone, ``reduced`` the numbers' width too (issue 6)."""


@dataclass(frozen=True, kw_only=True)
class OutputParity:
    """How far one output of the candidate is from the baseline's, the worst over all samples.

    `relative` is the largest absolute difference over the baseline's largest magnitude
    (its scale). `max_ulp` counts representable numbers between the two (floats only).
    `top1` is the share of rows whose largest entry is in the same place. `method` says how a random
    output was compared: both sides drew the same numbers by ``seed``, or from the same ``distribution``.
    With ``onednn`` both sides ran with it, since the baseline does not without.
    """

    signature: str
    output: str
    tensor: str
    dtype: str
    verdict: Literal["passed", "failed", "not_run"]
    tolerance: float
    max_abs: float | None = None
    relative: float | None = None
    max_ulp: int | None = None
    top1: float | None = None
    samples: tuple[str, ...] = ()
    reason: str = ""
    method: Literal["values", "seed", "distribution", "onednn"] = "values"


@dataclass(frozen=True, kw_only=True)
class DivergingNode:
    """The first node whose value differs between baseline and candidate, in topological order."""

    node: str
    op: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ParityResult:
    """The verdict over all outputs: failed if one failed, passed only if every one was run."""

    mode: Literal["exact", "as_run"]
    verdict: Literal["passed", "failed", "not_run"]
    outputs: tuple[OutputParity, ...] = ()
    reason: str = ""
    notes: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    first_diverging: DivergingNode | None = None


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Percentiles of one call's time, over all calls of the stable windows."""

    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    calls: int


@dataclass(frozen=True, kw_only=True)
class Contender:
    """How baseline or candidate fared at one batch size; `per_s` are examples a second."""

    name: Literal["baseline", "candidate"]
    throughput_per_s: float
    latency: Latency


@dataclass(frozen=True, kw_only=True)
class BatchMeasurement:
    """Baseline and candidate, interleaved at one batch size.

    `ratio` is candidate throughput over baseline throughput; `ratio_low` and `ratio_high`
    bound it (bootstrap, 95 %). `stable` says whether the last windows agreed.
    """

    batch_size: int
    feeding: Literal["host", "device"]
    baseline: Contender
    candidate: Contender
    ratio: float
    ratio_low: float
    ratio_high: float
    stable: bool


@dataclass(frozen=True, kw_only=True)
class BenchmarkResult:
    """The sweep over batch sizes, with what ran it; `reason` says why there is none."""

    verdict: Literal["measured", "unstable", "not_run"]
    reason: str = ""
    signature: str = ""
    measurements: tuple[BatchMeasurement, ...] = ()
    load_ms: dict[str, float] = field(default_factory=dict)
    first_call_ms: dict[str, float] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class MadeVariant:
    """A variant of the SavedModel: what was changed, in words; or why there is none."""

    name: str
    precision: Precision
    changes: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class MadeVariants:
    """What `MakeVariantsRequest` came to, in the order of the list of variants."""

    variants: tuple[MadeVariant, ...]


@dataclass(frozen=True, kw_only=True)
class RaceLap:
    """A runner's throughput over the faithful SavedModel's at one batch size, within `low` and `high` at 95 %."""

    batch_size: int
    ratio: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Runner:
    """How a variant fared; `reason` says why it was taken out of the race, `first_call_ms` is of a cold one."""

    name: str
    laps: tuple[RaceLap, ...] = ()
    first_call_ms: float = 0.0
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class RaceResult:
    """The race among variants; `reason` says why there was none."""

    runners: tuple[Runner, ...] = ()
    reason: str = ""
