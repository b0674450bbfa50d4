"""What a worker is asked to do, as frozen records: plain data, so that they cross processes as JSON."""

from dataclasses import dataclass, field
from typing import Literal

from job.records import ArtifactOptions, Format
from job.results import Precision


@dataclass(frozen=True, kw_only=True)
class SourceRequest:
    """Where an artifact lies on this machine, and what its owner says about it.

    `unproven` is what was made of it once and did not pass its parity: keys of added signatures,
    and ``free_batch``. It is not made again. `device` is where the model will run, ``any`` where
    that is not known yet.
    """

    format: Format
    directory: str
    entry: str
    options: ArtifactOptions = field(default_factory=ArtifactOptions)
    unproven: tuple[str, ...] = ()
    device: Literal["any", "cpu", "gpu"] = "any"


@dataclass(frozen=True, kw_only=True)
class DeviceRequest:
    """Where models shall run; ``auto`` takes a GPU if TensorFlow lists one."""

    device: Literal["auto", "cpu", "gpu"]


@dataclass(frozen=True, kw_only=True)
class ConvertRequest:
    """Lift `source` and write the SavedModel to `saved_model`, an absent directory."""

    source: SourceRequest
    saved_model: str


@dataclass(frozen=True, kw_only=True)
class VerifyRequest:
    """Compare the SavedModel as published with the source's own graph.

    `reference` is where the exact run leaves the baseline's answers for the as-run one. Without
    `grappler` that one runs with all of a user's defaults but TensorFlow's graph optimizer. `precision` is
    that of the variant which `saved_model` is, held to its class by the answers of an earlier exact run;
    empty for the faithful model.
    """

    source: SourceRequest
    saved_model: str
    mode: Literal["exact", "as_run"]
    tolerance: float
    reference: str = ""
    device: Literal["cpu", "gpu"] = "cpu"
    seed: int = 0
    grappler: bool = True
    precision: Literal["", "exact", "reduced"] = ""


@dataclass(frozen=True, kw_only=True)
class KerasRequest:
    """Write a Keras model to `file` for Keras 3, or compare that file with the answers in `reference`."""

    source: SourceRequest
    file: str
    reference: str
    tolerance: float


@dataclass(frozen=True, kw_only=True)
class WarmUpRequest:
    """Write requests for TF Serving's warm-up into a SavedModel, of the samples in `reference`."""

    source: SourceRequest
    saved_model: str
    reference: str
    device: Literal["cpu", "gpu"] = "cpu"


@dataclass(frozen=True, kw_only=True)
class BenchmarkRequest:
    """Measure one signature of source and candidate against each other.

    `effort` bounds the cost: ``quick`` ends within some seconds a batch size. `fast` is the SavedModel of the
    variant that won, empty where none did.
    """

    source: SourceRequest
    saved_model: str
    fast: str = ""
    effort: Literal["quick", "full"] = "quick"
    device: Literal["cpu", "gpu"] = "cpu"
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class MakeVariantsRequest:
    """Write each variant of the SavedModel below `directory`, under its name; ``exact`` makes no reduced ones.

    Of the `options` the denied ops count that a user allows, his libraries of ops, and for which TensorFlow it is.
    """

    saved_model: str
    directory: str
    precision: Precision
    device: Literal["cpu", "gpu"] = "cpu"
    options: ArtifactOptions = field(default_factory=ArtifactOptions)


@dataclass(frozen=True, kw_only=True)
class RaceRequest:
    """Run the SavedModels against each other, by name, until each has won or cannot win any more.

    The first is the faithful one, to which the others are compared.
    """

    source: SourceRequest
    saved_models: dict[str, str]
    budget_s: float
    device: Literal["cpu", "gpu"] = "cpu"
    seed: int = 0
