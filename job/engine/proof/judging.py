"""The verdict on one output of a signature: its figures, the worst over all samples, or why there are none."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from numpy.typing import NDArray

from job import parity
from job.records import Signature, TensorSpec
from job.results import OutputParity

Pairs = Sequence[tuple[str, NDArray[Any], NDArray[Any]]]
"""What baseline and candidate said to each sample, after its name."""


def compared(signature: Signature, spec: TensorSpec, pairs: Pairs, tolerance: float) -> OutputParity:
    """Return how far an output is from the baseline's, to its type's tolerance given that of 32-bit floats."""
    comparisons = (
        replace(parity.compare(*both, tolerance=parity.tolerance_for(both[0].dtype, tolerance)), sample=sample)
        for sample, *both in pairs
    )
    found = parity.worst(list(comparisons))
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
        samples=tuple(dict.fromkeys(sample for sample, *_ in pairs)),
        reason=found.reason,
        worst_sample=found.sample,
        histogram=found.histogram,
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
