"""How large the check of a GPU is, and what its peak was found to be."""

from dataclasses import dataclass
from typing import Final, Literal

Device = Literal["cpu", "gpu"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How large the check is on a device; `matrix` is the side of the square matrices, `busy_s` a look at the load."""

    device: Device
    models: tuple[str, ...]
    batches: tuple[int, ...]
    matrix: int
    busy_s: float
    goldens: tuple[str, ...]


GOLDENS: Final = (
    "resnet50_saved_model", "resnet50_checkpoint", "resnet50_frozen_pb", "ref_variables_saved_model",
    "resource_variables_checkpoint", "vocabulary_saved_model", "while_loop_frozen", "cond_checkpoint",
    "multi_signature_saved_model", "functions_saved_model",
)  # fmt: skip
"""Of tests/goldens: each format, loops, conditions, tables."""

PLANS: Final[dict[Device, Plan]] = {
    "gpu": Plan(
        device="gpu", models=("resnet50", "bert"), batches=(1, 32, 128), matrix=8192, busy_s=3.0, goldens=GOLDENS
    ),
    "cpu": Plan(device="cpu", models=("lstm",), batches=(1, 8), matrix=512, busy_s=1.0, goldens=GOLDENS[5:7]),
}


@dataclass(frozen=True, kw_only=True)
class Peaks:
    """What the device did at most, by precision, in floating-point operations a second; and who computed."""

    peaks: dict[str, float]
    versions: dict[str, str]
