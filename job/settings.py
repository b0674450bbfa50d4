"""Every knob of the job, once: its flag, its ``JOB_*`` variable, its default and its unit.

The command line is generated from these fields, and so is the reference in the documentation.
"""

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, Final, Literal, get_args, get_type_hints

from job.errors import UsageError
from job.nearest import nearest
from job.records import TARGETS, TargetTf

ENVIRONMENT_PREFIX: Final = "JOB_"

INDEX_VARIABLES: Final = ("JOB_COMPLETION_INDEX", "AWS_BATCH_JOB_ARRAY_INDEX", "BATCH_TASK_INDEX")
"""Where Kubernetes, AWS Batch and GCP Batch say which share of the work is ours."""

COUNT_VARIABLES: Final = ("JOB_SHARD_COUNT", "AWS_BATCH_JOB_ARRAY_SIZE", "BATCH_TASK_COUNT")
"""How many shares there are; Kubernetes does not say, so its manifest sets ``JOB_SHARD_COUNT``."""


Group = Literal["inputs", "conversion", "proof", "speed", "safety", "running", "output"]
GROUPS: Final[tuple[Group, ...]] = get_args(Group)
"""What a knob is about, in the order in which help and documentation have them."""


def _knob(  # noqa: PLR0913 - each is one thing that is known of a knob
    default: Any,
    description: str,
    *,
    minimum: float | None = None,
    metavar: str = "",
    group: Group = "running",
    short: str = "",
) -> Any:
    metadata = {"description": description, "minimum": minimum, "metavar": metavar, "group": group, "short": short}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What one run is asked to do."""

    source: str = _knob("", "A prefix or one artifact: a path, or s3://bucket/prefix.", metavar="URI", group="inputs")
    dest: str = _knob("", "Where results are published: a path, or s3://bucket/prefix.", metavar="URI", group="inputs")
    only: str = _knob("*", "Take only artifacts whose name matches this pattern.", metavar="GLOB", group="inputs")
    manifest: str = _knob(
        "", "What you say about single artifacts (YAML, path or s3://).", metavar="FILE", group="inputs"
    )
    device: Literal["auto", "cpu", "gpu"] = _knob(
        "auto", "Where models run; gpu ends with code 73 where no GPU can be used.", group="speed"
    )
    benchmark: Literal["off", "quick", "full"] = _knob(
        "quick", "How long to measure throughput and latency; off also looks for no faster variant.", group="speed"
    )
    precision: Literal["exact", "reduced"] = _knob(
        "exact",
        "What a faster variant may change: exact keeps 32-bit arithmetic and the tolerance, "
        "reduced also tries 16 bits within 1e-2 of the scale.",
        group="speed",
    )
    tune_budget: float = _knob(
        90.0,
        "After this many seconds the search for a faster variant of one artifact begins nothing new, and what is at "
        "work has as many and 60 more for itself; 0: none is looked for.",
        minimum=0,
        metavar="SECONDS",
        group="speed",
    )
    tolerance: float = _knob(
        1e-5, "Largest accepted error of a 32-bit float output, relative to its scale.", minimum=0, group="proof"
    )
    seed: int = _knob(0, "Seed of the synthesised inputs.", minimum=0, group="proof")
    require_proof: bool = _knob(
        False,
        "End with code 41 where a model's answers could not be compared, in place of publishing it as not_run.",
        group="proof",
    )
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
    metrics: str = _knob("", "Keep a run's counts there, in Prometheus' text format.", metavar="FILE", group="output")
    log_format: Literal["auto", "json", "text"] = _knob(
        "auto",
        "text is for people; json: an event a line on stderr, nothing on stdout; auto: text on a terminal, else json.",
        group="output",
    )
    quiet: bool = _knob(
        False,
        "Say nothing on stderr but errors, and on stdout only what failed and the last line.",
        group="output",
        short="-q",
    )
    all_forms: bool = _knob(
        False,
        "Convert every form of a model that is there in several; default: the one that keeps most.",
        group="inputs",
    )
    batch_norm: Literal["as_saved", "auto", "inference"] = _knob(
        "auto",
        "inference: let batch norm that was left in training mode use its moving statistics; "
        "auto: only in a graph that trained the model, where all of them are there.",
        group="conversion",
    )
    dropout: Literal["auto", "off", "as_saved"] = _knob(
        "auto",
        "off: switch off the dropout that a graph was saved with; as_saved: leave it on; "
        "auto: off, but for frozen graphs whose seeds repeat their answers.",
        group="conversion",
    )
    ema: Literal["auto", "on", "off"] = _knob(
        "auto",
        "on: take the moving averages that a checkpoint holds in place of the weights that they are of; "
        "auto: only where it has no graph of its own, and an average of every trained variable.",
        group="conversion",
    )
    free_batch: bool = _knob(
        False, "Free a fixed batch dimension where the model proves equal per example.", group="conversion"
    )
    serving_warmup: bool = _knob(
        False, "Give SavedModels requests by which TF Serving warms up while it loads them.", group="conversion"
    )
    target_tf: TargetTf = _knob(  # noqa: RUF009 - it makes a field, as for the others, whose types ruff can read
        "running",
        "The oldest TensorFlow that shall load the published models; what it cannot hold is refused.",
        metavar=f"[running|{TARGETS[0]}|...|{TARGETS[-1]}]",
        group="conversion",
    )
    graph: str = _knob(
        "",
        "The graph of checkpoints that have none: a GraphDef or MetaGraph (path or s3://).",
        metavar="FILE",
        group="inputs",
    )
    architecture: str = _knob(
        "",
        "The function that builds it instead, your code, which is run; or the name of a known architecture.",
        metavar="MODULE:FUNCTION",
        group="inputs",
    )
    rules: str = _knob(
        "",
        "Regular expressions from a checkpoint's names to those of that graph (YAML, path or s3://).",
        metavar="FILE",
        group="inputs",
    )
    op_library: str = _knob(
        "", "Load ops from this shared library, pinned by its digest.", metavar="FILE@sha256:HEX", group="safety"
    )
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
        group="safety",
    )
    allow_lambda: bool = _knob(False, "Run the Python code that Keras models carry in Lambda layers.", group="safety")
    allow_nonfinite: bool = _knob(False, "Convert models whose weights hold NaN or infinity.", group="safety")
    allow_op: tuple[str, ...] = _knob(
        (),
        "Let an op run that is denied (docs/ops.md), in the sandbox; give it again for more.",
        metavar="OP",
        group="safety",
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
    known = [knob.name.upper() for knob in knobs()]
    others = (*INDEX_VARIABLES, *COUNT_VARIABLES)
    mine = [name for name in environment if name.startswith(ENVIRONMENT_PREFIX) and name not in others]
    strange = [name for one in mine if (name := one.removeprefix(ENVIRONMENT_PREFIX)) not in known]
    return {
        f"{ENVIRONMENT_PREFIX}{name}": f"{ENVIRONMENT_PREFIX}{close}"
        for name in strange
        for close in nearest(name, known)
    }


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
