"""Every knob of the job, once: its flag, its ``JOB_*`` variable, its default and its unit.

The command line is generated from these fields, and so is the reference in the documentation.
"""

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Final, Literal, get_args, get_type_hints

from job.errors import UsageError
from job.records import TargetTf

ENVIRONMENT_PREFIX: Final = "JOB_"

INDEX_VARIABLES: Final = ("JOB_COMPLETION_INDEX", "AWS_BATCH_JOB_ARRAY_INDEX", "BATCH_TASK_INDEX")
"""Where Kubernetes, AWS Batch and GCP Batch say which share of the work is ours."""

COUNT_VARIABLES: Final = ("JOB_SHARD_COUNT", "AWS_BATCH_JOB_ARRAY_SIZE", "BATCH_TASK_COUNT")
"""How many shares there are; Kubernetes does not say, so its manifest sets ``JOB_SHARD_COUNT``."""


def _knob(default: Any, description: str, *, minimum: float | None = None, metavar: str = "") -> Any:
    metadata = {"description": description, "minimum": minimum, "metavar": metavar}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What one run is asked to do."""

    source: str = _knob("", "A prefix or one artifact: a path, or s3://bucket/prefix.", metavar="URI")
    dest: str = _knob("", "Where results are published: a path, or s3://bucket/prefix.", metavar="URI")
    only: str = _knob("*", "Take only artifacts whose name matches this pattern.", metavar="GLOB")
    manifest: str = _knob("", "What you say about single artifacts (YAML, path or s3://).", metavar="FILE")
    device: Literal["auto", "cpu", "gpu"] = _knob(
        "auto", "Where models run; gpu ends with code 73 where no GPU can be used."
    )
    benchmark: Literal["off", "quick", "full"] = _knob("quick", "How long to measure throughput and latency.")
    precision: Literal["exact", "reduced"] = _knob(
        "exact",
        "What a faster variant may change: exact keeps 32-bit arithmetic and the tolerance, "
        "reduced also tries 16 bits within 1e-2 of the scale.",
    )
    tune_budget: float = _knob(
        90.0,
        "After this many seconds the search for a faster variant of one artifact begins nothing new, and what is at "
        "work has as many and 60 more for itself; 0: none is looked for.",
        minimum=0,
        metavar="SECONDS",
    )
    tolerance: float = _knob(1e-5, "Largest accepted error of a 32-bit float output, relative to its scale.", minimum=0)
    seed: int = _knob(0, "Seed of the synthesised inputs.", minimum=0)
    scratch: str = _knob(
        "", "Directory for pulled and converted files; default: the system's temporary directory.", metavar="DIR"
    )
    stage_timeout_s: int = _knob(
        600,
        "A worker is stopped after this many seconds in one stage, and 60 more for each GiB of the artifact; comparing "
        "adds half of it for each signature beyond the first, benchmarking its own time and 60.",
        minimum=1,
    )
    item_timeout_s: int = _knob(2700, "The stages of one artifact may take this many seconds together.", minimum=1)
    memory_limit_mib: int | None = _knob(
        None,
        "How much memory a worker may hold, in MiB; never more than 80 % of what the job leaves of the container's.",
        minimum=256,
    )
    grace_s: float = _knob(8.0, "How long after SIGTERM the job ends at the latest, with code 75.", minimum=0)
    deadline_s: float = _knob(
        0.0,
        "How long the job may take: what is left then is for the next attempt (code 75); 0 sets no limit.",
        minimum=0,
    )
    lanes: int | None = _knob(
        None,
        "How many stages of several artifacts compute at once, or how many GPUs; nothing does beside a benchmark. "
        "Default: every GPU, else what processors and memory allow.",
        minimum=1,
    )
    shard_index: int | None = _knob(
        None, "Which share of the artifacts to take; default: the batch engine's index.", minimum=0
    )
    shard_count: int | None = _knob(None, "How many shares there are.", minimum=1)
    metrics: str = _knob("", "Keep a run's counts there, in Prometheus' text format.", metavar="FILE")
    log_format: Literal["auto", "json", "text"] = _knob("auto", "auto: text on a terminal, JSON lines elsewhere.")
    all_forms: bool = _knob(
        False, "Convert every form of a model that is there in several; default: the one that keeps most."
    )
    batch_norm: Literal["as_saved", "auto", "inference"] = _knob(
        "auto",
        "inference: let batch norm that was left in training mode use its moving statistics; "
        "auto: only in a graph that trained the model, where all of them are there.",
    )
    dropout: Literal["auto", "off", "as_saved"] = _knob(
        "auto",
        "off: switch off the dropout that a graph was saved with; as_saved: leave it on; "
        "auto: off, but for frozen graphs whose seeds repeat their answers.",
    )
    ema: Literal["auto", "on", "off"] = _knob(
        "auto",
        "on: take the moving averages that a checkpoint holds in place of the weights that they are of; "
        "auto: only where it has no graph of its own, and an average of every trained variable.",
    )
    free_batch: bool = _knob(False, "Free a fixed batch dimension where the model proves equal per example.")
    target_tf: TargetTf = _knob(  # noqa: RUF009 - it makes a field, as for the others, whose types ruff can read
        "running", "The oldest TensorFlow that shall load the published models; what it cannot hold is refused."
    )
    graph: str = _knob(
        "", "The graph of checkpoints that have none: a GraphDef or MetaGraph (path or s3://).", metavar="FILE"
    )
    architecture: str = _knob(
        "",
        "The function that builds it instead, your code, which is run; or the name of a known architecture.",
        metavar="MODULE:FUNCTION",
    )
    rules: str = _knob(
        "",
        "Regular expressions from a checkpoint's names to those of that graph (YAML, path or s3://).",
        metavar="FILE",
    )
    op_library: str = _knob("", "Load ops from this shared library, pinned by its digest.", metavar="FILE@sha256:HEX")
    require_atomic: bool = _knob(
        False, "End with code 45 where the destination cannot keep two jobs from committing the same thing."
    )
    repair: bool = _knob(
        False, "Re-hash what is published; what is damaged is published anew, and its commit replaced."
    )
    sandbox: Literal["require", "best-effort", "off"] = _knob(
        "require",
        "What confines workers: require ends with code 73 where the kernel lacks Landlock or seccomp; "
        "best-effort takes what there is.",
    )
    allow_lambda: bool = _knob(False, "Run the Python code that Keras models carry in Lambda layers.")
    allow_nonfinite: bool = _knob(False, "Convert models whose weights hold NaN or infinity.")
    allow_op: tuple[str, ...] = _knob(
        (), "Let an op run that is denied (docs/ops.md), in the sandbox; give it again for more.", metavar="OP"
    )


def knobs() -> tuple[Field[Any], ...]:
    """Return the fields of `Settings` in the order in which help lists them."""
    return fields(Settings)


def kind_of(knob: Field[Any]) -> Any:
    """Return a knob's type with ``None`` taken away: ``int | None`` is ``int`` to a command line."""
    hint = get_type_hints(Settings)[knob.name]
    return (
        next((arm for arm in get_args(hint) if arm in (int, float, str)), hint)
        if get_args(hint)[-1:] == (type(None),)
        else hint
    )


def misspelt(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that set nothing and look as if they should, each with the one that it resembles.

    Others that begin with ``JOB_`` are left alone: Kubernetes sets some for a service of that name.
    """
    known = [f"{ENVIRONMENT_PREFIX}{knob.name.upper()}" for knob in knobs()]
    strangers = [name for name in environment if name not in (*known, *INDEX_VARIABLES, *COUNT_VARIABLES)]
    mine = [name for name in strangers if name.startswith(ENVIRONMENT_PREFIX)]
    return {name: close for name in mine for close in get_close_matches(name, known, n=1, cutoff=0.8)}


def shard_from(settings: Settings, environment: Mapping[str, str]) -> tuple[int, int]:
    """Return (index, count): the settings', else the batch engine's, else the whole.

    Raises `UsageError` if two engines' variables disagree, or only one of index and count is there.
    """
    index = (
        settings.shard_index if settings.shard_index is not None else _agreed(environment, INDEX_VARIABLES, minimum=0)
    )
    count = (
        settings.shard_count if settings.shard_count is not None else _agreed(environment, COUNT_VARIABLES, minimum=1)
    )
    if index is not None and count is None:
        raise UsageError(
            f"shard index {index} is set, but not how many shards there are",
            remedy="set --shard-count or JOB_SHARD_COUNT",
        )
    if index is None and (count or 1) > 1:
        raise UsageError(
            f"there are {count} shards, but which one this is is not set",
            remedy="set --shard-index, or run as an indexed or array job",
        )
    return (index or 0, count or 1)


def _agreed(environment: Mapping[str, str], names: tuple[str, ...], *, minimum: int) -> int | None:
    found = {name: environment[name] for name in names if environment.get(name)}
    if len(set(found.values())) > 1:
        said = ", ".join(f"{name}={value}" for name, value in found.items())
        raise UsageError(f"the batch engines' variables disagree: {said}", remedy="leave only one of them set")
    for name, value in found.items():
        if not (value.isascii() and value.isdecimal() and int(value) >= minimum):
            raise UsageError(
                f"{name}={value} is not a whole number from {minimum} on",
                remedy="unset it, or pass --shard-index and --shard-count",
            )
        return int(value)
    return None
