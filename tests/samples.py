"""One artifact's report as a run makes it, and what becomes of it when things go otherwise."""

from dataclasses import replace
from typing import Final

from job.records import (
    Artifact,
    ArtifactReport,
    Digest,
    ErrorRecord,
    Finding,
    Format,
    Signature,
    SourceSummary,
    StageTiming,
    StoredObject,
    TensorSpec,
)
from job.results import (
    BatchMeasurement,
    BenchmarkResult,
    Contender,
    Decade,
    ErrorHistogram,
    GpuState,
    GpuWatch,
    Latency,
    OutputParity,
    OwnTime,
    ParityResult,
    RaceLap,
    Ratio,
    TuningResult,
    VariantResult,
)

ARTIFACT: Final = Artifact(
    name="vision/resnet50",
    format=Format.SAVED_MODEL,
    entry="vision/resnet50",
    objects=(StoredObject(key="vision/resnet50/saved_model.pb", size_bytes=102_400_000),),
)

SIGNATURE: Final = Signature(
    key="serving_default",
    inputs=(TensorSpec(key="image", tensor="input:0", dtype="float32", shape=(None, 224, 224, 3)),),
    outputs=(
        TensorSpec(key="classes", tensor="ArgMax:0", dtype="int64", shape=(None,)),
        TensorSpec(key="probabilities", tensor="softmax:0", dtype="float32", shape=(None, 1001)),
    ),
)

SUMMARY: Final = SourceSummary(
    format=Format.SAVED_MODEL,
    producer="TensorFlow 1.15.5",
    node_count=2346,
    variable_count=267,
    variables_bytes=102_228_128,
    signatures=(SIGNATURE,),
    findings=(
        Finding(
            code="training_switch",
            cause="is_training was set to False",
            remedy="export the model for inference",
            severity="warning",
        ),
    ),
)

CLASSES: Final = OutputParity(
    signature="serving_default",
    output="classes",
    tensor="ArgMax:0",
    dtype="int64",
    verdict="passed",
    tolerance=0.0,
    max_abs=0.0,
    samples=("zeros, batch 1", "normal, batch 2"),
    histogram=ErrorHistogram(equal=3),
)

PROBABILITIES: Final = OutputParity(
    signature="serving_default",
    output="probabilities",
    tensor="softmax:0",
    dtype="float32",
    verdict="passed",
    tolerance=1e-5,
    max_abs=2.4e-7,
    relative=3.1e-7,
    max_ulp=12,
    top1=1.0,
    samples=("zeros, batch 1", "normal, batch 2"),
    worst_sample="normal, batch 2",
    histogram=ErrorHistogram(equal=2900, decades=(Decade(exponent=-9, count=80), Decade(exponent=-7, count=23))),
)

PARITY: Final = ParityResult(
    mode="exact", verdict="passed", outputs=(CLASSES, PROBABILITIES), environment={"grappler": "off"}
)

AS_RUN: Final = replace(
    PARITY,
    mode="as_run",
    outputs=(
        replace(
            PROBABILITIES,
            relative=4.2e-6,
            histogram=ErrorHistogram(decades=(Decade(exponent=-7, count=2903), Decade(exponent=-6, count=100))),
        ),
    ),
    environment={"grappler": "on"},
)


def contender(name: str, throughput_per_s: float, ratio: float) -> Contender:
    """Return a contender; the interval of its ratio is 0.03 to each side."""
    latency = Latency(p50_ms=10, p90_ms=11, p95_ms=12, p99_ms=14, calls=120)
    bounds = Ratio(value=ratio, low=ratio - 0.03, high=ratio + 0.03)
    return Contender(
        name=name,
        throughput_per_s=throughput_per_s,
        latency=latency,
        ratio=bounds,
        low_per_s=0.98 * throughput_per_s,
        high_per_s=1.01 * throughput_per_s,
    )


def measurement(batch_size: int, throughput_per_s: float, ratio: float, *, stable: bool = True) -> BatchMeasurement:
    """Return a measurement whose candidate has `throughput_per_s`."""
    candidate = contender("candidate", throughput_per_s, ratio)
    baseline = replace(contender("baseline", throughput_per_s / ratio, 1.0), ratio=None)
    return BatchMeasurement(
        batch_size=batch_size,
        feeding="host",
        contenders=(baseline, candidate),
        stable=stable,
        reason="" if stable else "windows differ by more than 10 %",
    )


def with_fast(measured: BatchMeasurement, throughput_per_s: float, ratio: float) -> BatchMeasurement:
    """Return a measurement in which the fast variant took part, too."""
    candidate, fast = measured.of("candidate"), contender("fast", throughput_per_s, ratio)
    assert candidate is not None
    over = throughput_per_s / candidate.throughput_per_s
    fast = replace(fast, over_candidate=Ratio(value=over, low=over - 0.03, high=over + 0.03))
    return replace(measured, contenders=(*measured.contenders, fast))


BENCHMARK: Final = BenchmarkResult(
    verdict="measured",
    signature="serving_default",
    measurements=(measurement(1, 23.8, 1.31), measurement(8, 34.6, 1.18), measurement(16, 35.2, 1.07, stable=False)),
    load_ms={"baseline": 1520.3, "candidate": 2810.0},
    first_call_ms={"baseline": 812.1, "candidate": 1033.9},
    environment={"device": "CPU, 2 cores"},
)

GPU_STATE: Final = GpuState(sm_clock_mhz=1980, memory_clock_mhz=2619, temperature_c=41, power_w=120.0)

MEASURED_ON_A_GPU: Final = replace(
    BENCHMARK,
    measurements=(
        replace(
            measurement(8, 34.6, 1.18),
            feeding="device",
            contenders=tuple(replace(one, latency=None) for one in measurement(8, 34.6, 1.18).contenders),
            gpu=GpuWatch(before=GPU_STATE, after=GPU_STATE, busy=0.97),
        ),
    ),
    own_times=(
        OwnTime(name="baseline", call_ms=1.52, overhead_ms=0.05, own_ms=1.47),
        OwnTime(
            name="candidate", call_ms=1.5, overhead_ms=0.1, own_ms=1.4, ratio=Ratio(value=1.05, low=1.02, high=1.08)
        ),
    ),
    peak_memory_bytes={"baseline": 400_000_000, "candidate": 380_000_000},
    saturation={"baseline": 8, "fast": 64},
    notes=("a note",),
)

TUNING: Final = TuningResult(
    verdict="published",
    published="folded",
    variants=(
        VariantResult(
            name="folded",
            precision="exact",
            verdict="published",
            changes=("53 batch norms folded into the weights before them",),
            laps=(
                RaceLap(batch_size=1, ratio=1.17, low=1.15, high=1.19),
                RaceLap(batch_size=8, ratio=1.02, low=0.99, high=1.04),
                RaceLap(batch_size=16, ratio=1.4, low=0.1, high=19.0),
            ),
            parity=(PARITY, AS_RUN),
        ),
        VariantResult(
            name="folded_bf16", precision="reduced", verdict="outside_class", reason="0.031 of the scale exceeds 0.01"
        ),
    ),
)

COMMAND: Final = (
    *("python", "-m", "job", "run", "--source", "s3://models/tf1/", "--only", "vision/resnet50"),
    *("--dest", "reproduced", "--seed", "0", "--device", "cpu"),
)

PUBLISHED: Final = ArtifactReport(
    artifact=ARTIFACT,
    status="published",
    plan="9f2c" * 16,
    sources=(Digest(key="vision/resnet50/saved_model.pb", size_bytes=102_400_000, sha256="ab" * 32),),
    summary=SUMMARY,
    parity=PARITY,
    as_run=AS_RUN,
    tuning=TUNING,
    benchmark=BENCHMARK,
    timings=(
        StageTiming(stage="pull", wall_s=1.23),
        StageTiming(stage="convert", wall_s=8.1, peak_memory_bytes=1_480_000_000),
    ),
    environment={"tensorflow": "2.21.0"},
    command=COMMAND,
)

UNPROVEN: Final = replace(
    PUBLISHED, parity=ParityResult(mode="exact", verdict="not_run", reason="an input is a resource"), as_run=None
)

ALREADY_PUBLISHED: Final = ArtifactReport(artifact=ARTIFACT, status="already_published", plan="9f2c" * 16)

PARITY_FAILED: Final = replace(
    PUBLISHED,
    status="not_published",
    parity=ParityResult(
        mode="exact",
        verdict="failed",
        outputs=(
            CLASSES,
            replace(
                PROBABILITIES, verdict="failed", relative=0.031, reason="worst at [0, 17]: baseline 1, candidate 2"
            ),
        ),
    ),
    as_run=None,
    error=ErrorRecord(
        exit_code=41,
        code_name="parity_failed",
        what="probabilities is off by 0.031",
        where="index [0, 17]",
        remedy="report the case",
        stage="verify",
    ),
)

BROKEN: Final = ArtifactReport(
    artifact=replace(ARTIFACT, name="broken/frozen", format=Format.GRAPH_DEF),
    status="not_published",
    error=ErrorRecord(
        exit_code=40,
        code_name="bad_input",
        what="the GraphDef is truncated at byte 1024",
        where="s3://models/broken/frozen.pb",
        remedy="upload it again",
        stage="convert",
    ),
    command=(*COMMAND[:6], "--only", "broken/frozen", *COMMAND[8:]),
)

REPORTS: Final = (PUBLISHED, UNPROVEN, ALREADY_PUBLISHED, PARITY_FAILED, BROKEN)
