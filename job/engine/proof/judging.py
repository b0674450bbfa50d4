"""The verdict on one output of a signature: its figures, the worst over all samples, or why there are none."""

from collections.abc import Sequence
from typing import Any, Literal

from numpy.typing import NDArray

from job import parity
from job.records import Signature, TensorSpec
from job.results import OutputParity

Pairs = Sequence[tuple[NDArray[Any], NDArray[Any]]]
"""What baseline and candidate said to each sample."""


def compared(
    signature: Signature, spec: TensorSpec, pairs: Pairs, samples: tuple[str, ...], tolerance: float
) -> OutputParity:
    """Return how far an output is from the baseline's, to its type's tolerance given that of 32-bit floats."""
    found = parity.worst(
        [parity.compare(left, right, tolerance=parity.tolerance_for(left.dtype, tolerance)) for left, right in pairs]
    )
    return OutputParity(
        signature=signature.key,
        output=spec.key,
        tensor=spec.tensor,
        dtype=found.dtype,
        verdict=found.verdict,
        tolerance=found.tolerance,
        max_abs=found.max_abs,
        relative=found.relative,
        max_ulp=found.max_ulp,
        top1=found.top1,
        samples=samples,
        reason=found.reason,
    )


def without_figures(
    signature: Signature, spec: TensorSpec, verdict: Literal["failed", "not_run"], reason: str
) -> OutputParity:
    """Return the verdict on an output that could not be compared."""
    return OutputParity(
        signature=signature.key,
        output=spec.key,
        tensor=spec.tensor,
        dtype=spec.dtype,
        verdict=verdict,
        tolerance=0.0,
        reason=reason,
    )
