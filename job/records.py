"""The frozen records that flow between the stages; plain data, so that they cross processes as JSON."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal, get_args

from job.results import BenchmarkResult, ParityResult, TuningResult

Shape = tuple[int | None, ...] | None
"""Dimensions, `None` for one that is free; the whole is `None` where the rank is unknown."""

TargetTf = Literal[
    "running", "2.4", "2.5", "2.6", "2.7", "2.8", "2.9", "2.10", "2.11", "2.12", "2.13", "2.14", "2.15", "2.16", "2.17",
    "2.18", "2.19", "2.20", "2.21",
]  # fmt: skip
"""The TensorFlow that shall load a published model; ``running`` sets no limit."""

TARGETS: Final[tuple[str, ...]] = get_args(TargetTf)[1:]
"""The versions whose ops are known, oldest first."""


class Format(str, Enum):
    """What an artifact is, told by its content."""

    SAVED_MODEL = "saved_model"
    GRAPH_DEF = "graph_def"
    META_GRAPH = "meta_graph"
    CHECKPOINT = "checkpoint"
    KERAS_H5 = "keras_h5"
    ARCHIVE = "archive"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """One object of a store; `key` is relative to the store's root and uses ``/``.

    `modified_s` is the store's own clock, in seconds since 1970; 0 where it does not tell. `sha256` is
    what a user says that it must be, in lower-case hex; empty where nobody does.
    """

    key: str
    size_bytes: int
    etag: str = ""
    sha256: str = ""
    modified_s: float = field(default=0.0, compare=False)


@dataclass(frozen=True, kw_only=True)
class Digest:
    """The size and SHA-256 (lower-case hex) of some bytes; `key` as in `StoredObject`.

    `verified_by` names the checksums that were known of them before, and agree.
    """

    key: str
    size_bytes: int
    sha256: str
    verified_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One TF1 model found under the source.

    `entry` is the key that a reader opens: the directory of a SavedModel, the file of a
    GraphDef, the prefix (without ``.meta``) of a checkpoint. An archive's holds other artifacts,
    which are found when it is opened. `name` says where below the
    destination the result goes. `problem` is set for what cannot be a model.
    """

    name: str
    format: Format
    entry: str
    objects: tuple[StoredObject, ...]
    problem: "ErrorRecord | None" = None

    @property
    def size_bytes(self) -> int:
        """Return the bytes to be pulled."""
        return sum(stored.size_bytes for stored in self.objects)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftAlone:
    """An object that is no part of any artifact, and why."""

    key: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What discovery made of everything under the source."""

    artifacts: tuple[Artifact, ...]
    left_alone: tuple[LeftAlone, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ArtifactOptions:
    """What a user says in the manifest about one artifact; empty means: find out.

    `inputs` and `outputs` map a signature's argument names to tensor names (``x`` or ``x:0``).
    `assets` maps a path that the graph names to a key below the source, `sha256` such a key to what it must be.
    `samples` and
    `goldens` are local paths of ``.npz`` files once the supervisor has pulled them, and so are `graph`
    and `rules`; `architecture` then tells where the function's module lies, as `job.user_function` writes it.
    """

    tags: tuple[str, ...] | None = None
    signatures: tuple[str, ...] = ()
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    assets: dict[str, str] = field(default_factory=dict)
    tolerance: float | None = None
    batch_sizes: tuple[int, ...] = ()
    samples: str = ""
    goldens: str = ""
    allow_nonfinite: bool = False
    allow_lambda: bool = False
    allow_ops: tuple[str, ...] = ()
    batch_norm: Literal["as_saved", "auto", "inference"] = "auto"
    dropout: Literal["auto", "off", "as_saved"] = "auto"
    ema: Literal["auto", "on", "off"] = "auto"
    free_batch: bool = False
    op_libraries: tuple[str, ...] = ()
    graph: str = ""
    architecture: str = ""
    rules: str = ""
    target_tf: TargetTf = "running"
    sha256: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """An input or output: its argument name, the graph's tensor, dtype name and shape."""

    key: str
    tensor: str
    dtype: str
    shape: Shape


@dataclass(frozen=True, kw_only=True)
class Signature:
    """A callable part of the model, as in ``SignatureDef``.

    `beside` is the key of the model's own signature to which the job added this one; empty for
    the model's own.
    """

    key: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    method: str = "tensorflow/serving/predict"
    beside: str = ""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something about the artifact that its owner should know; `code` is stable."""

    code: str
    cause: str
    remedy: str = ""
    severity: Literal["info", "warning", "error"] = "info"


@dataclass(frozen=True, kw_only=True)
class SourceSummary:
    """What a reader found in an artifact."""

    format: Format
    producer: str = ""
    node_count: int = 0
    variable_count: int = 0
    variables_bytes: int = 0
    signatures: tuple[Signature, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DeviceReport:
    """Where models will run; `name` is the first GPU's, `count` how many there are."""

    device: Literal["cpu", "gpu"]
    name: str
    count: int = 1


@dataclass(frozen=True, kw_only=True)
class ConvertResult:
    """What was found in an artifact; with the error that ended its conversion, what was found before that."""

    summary: SourceSummary
    error: "ErrorRecord | None" = None


@dataclass(frozen=True, kw_only=True)
class KerasResult:
    """Whether Keras 3 holds a Keras model; `reason` says why it does not, `relative` is as in `OutputParity`."""

    relative: float | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class ErrorRecord:
    """A `JobError` as plain data."""

    exit_code: int
    code_name: str
    what: str
    where: str = ""
    remedy: str = ""
    stage: str = ""


@dataclass(frozen=True, kw_only=True)
class StageTiming:
    """How long a stage took, seen from the supervisor, and what its worker used."""

    stage: str
    wall_s: float
    peak_memory_bytes: int = 0


Status = Literal["published", "already_published", "not_published"]


@dataclass(frozen=True, kw_only=True)
class ArtifactReport:
    """Everything a run says about one artifact: ``report.json`` is this record.

    Exactly one of `error` and a published model: `status` is ``not_published`` if and only if
    there is an `error`. `place` is the directory below the destination with model and report.
    `command` does it again to this artifact alone, without secrets. `schema_version` is that of ``report/schema``:
    see docs/report.md for what makes another one.
    """

    artifact: Artifact
    status: Status
    plan: str = ""
    place: str = ""
    sources: tuple[Digest, ...] = ()
    summary: SourceSummary | None = None
    parity: ParityResult | None = None
    as_run: ParityResult | None = None
    tuning: TuningResult | None = None
    benchmark: BenchmarkResult | None = None
    timings: tuple[StageTiming, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    error: ErrorRecord | None = None
    command: tuple[str, ...] = ()
    schema_version: Literal[1] = 1


@dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """One file of an attempt; `path` is relative to the attempt's directory."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class ParitySummary:
    """What one comparison came to; `relative` and `tolerance` are the largest of all outputs that have one.

    `variant` names that of ``saved_model_fast``; it is empty for ``saved_model``.
    """

    mode: Literal["exact", "as_run"]
    verdict: Literal["passed", "failed", "not_run"]
    outputs: int
    relative: float | None = None
    tolerance: float | None = None
    variant: str = ""


@dataclass(frozen=True, kw_only=True)
class Commit:
    """``commit.json``: written last and never again; what it lists is published.

    Fields with a default came later: commits from before that are read.
    """

    artifact: str
    plan: str
    attempt: str
    files: tuple[PublishedFile, ...]
    verdict: str
    versions: dict[str, str]
    sources: tuple[Digest, ...] = ()
    parity: tuple[ParitySummary, ...] = ()
    allowed_ops: tuple[str, ...] = ()
    sandbox: str = ""
