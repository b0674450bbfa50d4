"""How a model compares with the TF1 graph, in answers and in speed: plain data, as all records are."""

from dataclasses import dataclass, field
from typing import Literal

Precision = Literal["exact", "reduced"]
"""What a variant may change: ``exact`` the order of arithmetic alone, ``reduced`` the numbers' width too (issue 6)."""


@dataclass(frozen=True, kw_only=True)
class Decade:
    """How many elements are off by at least 10 to the power of `exponent`, and less than the next, of the scale."""

    exponent: int
    count: int


@dataclass(frozen=True, kw_only=True)
class ErrorHistogram:
    """All elements that were compared, by how far they are off; decades without any are left out.

    `unequal` are those that differ without a measure: whole numbers and text, and NaN or infinity on one side.
    """

    equal: int = 0
    decades: tuple[Decade, ...] = ()
    unequal: int = 0

    @property
    def elements(self) -> int:
        """Return how many were compared."""
        return self.equal + self.unequal + sum(decade.count for decade in self.decades)

    def at(self, exponent: int) -> int:
        """Return how many are off by that decade."""
        return sum(decade.count for decade in self.decades if decade.exponent == exponent)

    def __add__(self, other: "ErrorHistogram") -> "ErrorHistogram":
        exponents = sorted({decade.exponent for decade in (*self.decades, *other.decades)})
        return ErrorHistogram(
            equal=self.equal + other.equal,
            decades=tuple(Decade(exponent=each, count=self.at(each) + other.at(each)) for each in exponents),
            unequal=self.unequal + other.unequal,
        )


@dataclass(frozen=True, kw_only=True)
class OutputParity:
    """How far one output of the candidate is from the baseline's, the worst over all samples.

    `relative` is the largest absolute difference over the baseline's largest magnitude
    (its scale). `max_ulp` counts representable numbers between the two (floats only).
    `top1` is the share of rows whose largest entry is in the same place. `method` says how a random
    output was compared: both sides drew the same numbers by ``seed``, or from the same ``distribution``.
    With ``onednn`` both sides ran with it, since the baseline does not without. `worst_sample` is the one that
    `relative` is of; `histogram` is empty where no values were compared.
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
    worst_sample: str = ""
    histogram: ErrorHistogram = field(default_factory=ErrorHistogram)


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
class Ratio:
    """A contender's throughput over another one's, within `low` and `high` at 95 %."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Contender:
    """How one fared at one batch size; `per_s` are examples a second, `ratio` is to the baseline.

    ``baseline`` is the TF1 graph in a Session, ``candidate`` the SavedModel, ``fast`` its published variant.
    The baseline has no ratio. `over_candidate` is the fast variant's ratio to the candidate, of the same rounds.
    There is no latency where calls do not wait for their answers. `low_per_s` and `high_per_s` are the ends of the
    throughput's interval at 95 %.
    """

    name: str
    throughput_per_s: float
    latency: Latency | None = None
    ratio: Ratio | None = None
    over_candidate: Ratio | None = None
    low_per_s: float | None = None
    high_per_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class GpuState:
    """A GPU at one moment; `throttled` are the driver's reasons for a lower clock, but for those of an idle GPU."""

    sm_clock_mhz: int
    memory_clock_mhz: int
    temperature_c: int
    power_w: float
    throttled: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class GpuWatch:
    """A GPU before, during and after a measurement; `busy` is the mean share of the time that it was at work."""

    before: GpuState
    after: GpuState
    throttled: tuple[str, ...] = ()
    busy: float | None = None


@dataclass(frozen=True, kw_only=True)
class BatchMeasurement:
    """Contenders, interleaved at one batch size; the baseline is the first.

    `feeding` says where inputs come from and answers go: ``host`` memory with every call, or they stay
    on the ``device``, and only the last of a window's answers is waited for. `reason` says why it is not `stable`.
    """

    batch_size: int
    feeding: Literal["host", "device"]
    contenders: tuple[Contender, ...]
    stable: bool
    reason: str = ""
    gpu: GpuWatch | None = None

    def of(self, name: str) -> Contender | None:
        """Return how one fared, if it took part."""
        return next((one for one in self.contenders if one.name == name), None)


@dataclass(frozen=True, kw_only=True)
class OwnTime:
    """A contender's call without what Python and TensorFlow's entry take of it, which servers do not pay.

    `overhead_ms` is the time of a call of the same signature that computes nothing, by the same way in;
    `ratio` that of the throughputs which `own_ms` would give, to the baseline's.
    """

    name: str
    call_ms: float
    overhead_ms: float
    own_ms: float
    ratio: Ratio | None = None


@dataclass(frozen=True, kw_only=True)
class BenchmarkResult:
    """The sweep over batch sizes, with what ran it; `reason` says why there is none.

    `own_times` are of the smallest batch, and only where the overhead matters and windows agree. `peak_memory_bytes`
    is of a GPU's memory, weights and one call at the largest batch; `saturation` is the batch size from which on less
    than 5 % is gained, absent where the sweep did not come so far or was not stable. These are by contender.
    """

    verdict: Literal["measured", "unstable", "not_run"]
    reason: str = ""
    signature: str = ""
    measurements: tuple[BatchMeasurement, ...] = ()
    own_times: tuple[OwnTime, ...] = ()
    load_ms: dict[str, float] = field(default_factory=dict)
    first_call_ms: dict[str, float] = field(default_factory=dict)
    peak_memory_bytes: dict[str, int] = field(default_factory=dict)
    saturation: dict[str, int] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


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
    """A runner's throughput over the faithful SavedModel's at one batch size.

    It is within `low` and `high` at 95 % for all laps of a race together.
    """

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


@dataclass(frozen=True, kw_only=True)
class VariantResult:
    """What became of a variant; `parity` is what it was held to, and `laps` are told of those that passed alone."""

    name: str
    precision: Precision
    verdict: Literal["published", "outside_class", "slower", "not_made", "not_tried"]
    reason: str = ""
    changes: tuple[str, ...] = ()
    laps: tuple[RaceLap, ...] = ()
    parity: tuple[ParityResult, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TuningResult:
    """The search for a faster SavedModel: `published` names the variant in ``saved_model_fast``, if one won."""

    verdict: Literal["published", "none_faster", "not_run"]
    published: str = ""
    reason: str = ""
    variants: tuple[VariantResult, ...] = ()


@dataclass(frozen=True, kw_only=True)
class WarmUpResult:
    """The warm-up requests that were written into a SavedModel; `reason` says why there are none."""

    requests: int = 0
    size_bytes: int = 0
    reason: str = ""
