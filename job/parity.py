"""How far a candidate's answers are from the baseline's; NumPy only."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import numpy as np

from job import decades
from job.results import ErrorHistogram

Array = np.ndarray[Any, Any]

Kind = Literal["float", "whole", "text", "bytes"]

HALF_TOLERANCE: Final = 2e-3
"""Two roundings of float16, whose epsilon is 2**-10 = 9.8e-4 (IEEE 754 binary16, 10 stored bits)."""

BFLOAT16_TOLERANCE: Final = 2e-2
"""Two and a half roundings of bfloat16, whose epsilon is 2**-7 = 7.8e-3 (7 stored bits)."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How far one output is from the baseline's; the figures mean what `OutputParity` says.

    Figures are `None` where the type or the shape allows none. `scale` is the baseline's largest
    finite magnitude. `worst_index` is the first place of the largest deviation, with what baseline
    and candidate hold there, as text for a message. `sample` names what was fed. `reason` says why it did not pass.
    """

    verdict: Literal["passed", "failed", "not_run"]
    dtype: str
    tolerance: float
    max_abs: float | None = None
    relative: float | None = None
    scale: float | None = None
    max_ulp: int | None = None
    top1: float | None = None
    worst_index: tuple[int, ...] | None = None
    baseline_value: str = ""
    candidate_value: str = ""
    sample: str = ""
    histogram: ErrorHistogram = field(default_factory=ErrorHistogram)
    reason: str = ""


def tolerance_for(dtype: "np.dtype[Any]", base: float) -> float:
    """Return the tolerance of a type, given that of 32-bit floats; 0 for what must be exact.

    64-bit floats get `base` as well: a TF1 graph seldom computes all of the way in 64 bits.
    The narrower types cannot be better than their own rounding.
    """
    if _kind(dtype) != "float":
        return 0.0
    narrow = {"float16": HALF_TOLERANCE, "bfloat16": BFLOAT16_TOLERANCE}
    return max(base, narrow.get(dtype.name, 0.0))


def compare(baseline: Array, candidate: Array, *, tolerance: float) -> Comparison:
    """Compare one output; floats against `tolerance` relative to the scale, all else exactly.

    An array without elements is ``not_run``: nothing of it was compared but shape and type. So is
    one that holds only NaN and infinity, since any two broken models agree on it.
    """
    is_float = _kind(baseline.dtype) == "float"
    blank = Comparison(
        verdict="passed",
        dtype=_dtype_name(baseline.dtype),
        tolerance=tolerance if is_float else 0.0,
    )
    if mismatch := mismatch_of_form(baseline, candidate):
        return replace(blank, verdict="failed", reason=mismatch)
    if baseline.size == 0:
        return replace(blank, verdict="not_run", reason="the output has no elements")
    if is_float:
        return _compare_floats(_widened(baseline), _widened(candidate), blank)
    return _compare_exactly(baseline, candidate, blank)


def worst(comparisons: Sequence[Comparison]) -> Comparison:
    """Return one comparison for the same output over several samples.

    Every figure is the worst of its kind, and the histogram of all; index, values and reason come from the worst one.
    What could not be compared in one sample is forgiven if another sample could be.
    Raises `ValueError` if there is none.
    """
    chosen = max(comparisons, key=_badness)
    return replace(
        chosen,
        max_abs=max((c.max_abs for c in comparisons if c.max_abs is not None), default=None),
        relative=max((c.relative for c in comparisons if c.relative is not None), default=None),
        max_ulp=max((c.max_ulp for c in comparisons if c.max_ulp is not None), default=None),
        top1=min((c.top1 for c in comparisons if c.top1 is not None), default=None),
        histogram=sum((c.histogram for c in comparisons), ErrorHistogram()),
    )


def _badness(comparison: Comparison) -> tuple[int, float, float]:
    """Order by verdict, then by relative error; what cannot even be measured is the worst failure."""
    rank = ("not_run", "passed", "failed").index(comparison.verdict)
    unmeasured = float("inf") if comparison.verdict == "failed" else -1.0
    return (
        rank,
        unmeasured if comparison.relative is None else comparison.relative,
        comparison.max_abs or 0.0,
    )


def _kind(dtype: "np.dtype[Any]") -> Kind:
    """Tell how a type is compared; TensorFlow's quantised and 4-bit types are only bytes to NumPy."""
    if dtype.name == "bfloat16" or dtype.kind in "fc":
        return "float"
    if dtype.kind in "OSU":
        return "text"
    return "whole" if dtype.kind in "biu" else "bytes"


def _dtype_name(dtype: "np.dtype[Any]") -> str:
    if _kind(dtype) == "text":
        return "string"
    return dtype.names[0] if dtype.names else dtype.name  # TensorFlow's qint8 is a structure of that one field


def mismatch_of_form(baseline: Array, candidate: Array) -> str:
    """Say how types or shapes differ; empty where they do not."""
    ours, theirs = _dtype_name(candidate.dtype), _dtype_name(baseline.dtype)
    if ours != theirs:
        return f"the type differs: baseline {theirs}, candidate {ours}"
    if baseline.shape != candidate.shape:
        return f"the shape differs: baseline {list(baseline.shape)}, candidate {list(candidate.shape)}"
    return ""


def _widened(array: Array) -> Array:
    """Return bfloat16 as float32, which holds it exactly and which NumPy can compute with."""
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def _compare_floats(baseline: Array, candidate: Array, blank: Comparison) -> Comparison:
    differs = _differs_in_nonfinite(baseline, candidate)
    finite = np.isfinite(baseline) & np.isfinite(candidate)
    if not finite.any() and not differs.any():
        return replace(blank, verdict="not_run", reason="every value is NaN or infinite in both: nothing to compare")
    deviation = _deviation(baseline, candidate, finite)
    scale, tiny = _largest(np.abs(baseline[np.isfinite(baseline)])), _tiny(baseline.dtype)
    mismatches = int(np.count_nonzero(differs))
    measured = replace(
        _at(blank, baseline, candidate, differs if differs.any() else deviation),
        max_abs=_largest(deviation),
        relative=_relative(_largest(deviation), scale, tiny),
        scale=scale,
        max_ulp=_max_ulp(baseline, candidate, finite) >> (16 if blank.dtype == "bfloat16" else 0),
        top1=_top1(baseline, candidate),
        histogram=decades.counted(deviation, scale=max(scale, tiny), least=tiny, unequal=mismatches),
    )
    return _judged(measured, mismatches)


def _judged(measured: Comparison, nonfinite_mismatches: int) -> Comparison:
    relative, limit = measured.relative or 0.0, measured.tolerance
    if nonfinite_mismatches:
        fault = f"NaN or infinity in different places ({nonfinite_mismatches} of them)"
    elif relative <= limit:
        return measured
    elif measured.scale == 0:
        fault = f"off by {measured.max_abs:.2g} where the baseline is zero everywhere"
    else:
        fault = f"relative error {relative:.2g} exceeds {limit:.2g}"
    return replace(measured, verdict="failed", reason=f"{fault}; {_whereabouts(measured)}")


def _whereabouts(found: Comparison) -> str:
    index = list(found.worst_index or ())
    return f"worst at {index}: baseline {found.baseline_value}, candidate {found.candidate_value}"


def _at(blank: Comparison, baseline: Array, candidate: Array, badness: Array) -> Comparison:
    index = tuple(int(i) for i in np.unravel_index(np.argmax(badness), baseline.shape))
    return replace(
        blank,
        worst_index=index,
        baseline_value=_shown(baseline[index]),
        candidate_value=_shown(candidate[index]),
    )


def _shown(value: Any) -> str:
    """Write a value with the nine digits that tell any two 32-bit floats apart, or 60 characters."""
    if isinstance(value, np.inexact):
        return format(value, ".9g") if not isinstance(value, np.complexfloating) else str(value)
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _differs_in_nonfinite(baseline: Array, candidate: Array) -> Array:
    """Mark where one is NaN, +inf or -inf and the other is not the same; parts of complex numbers apart."""
    marks = [
        (np.isnan(b) != np.isnan(c)) | (np.isposinf(b) != np.isposinf(c)) | (np.isneginf(b) != np.isneginf(c))
        for b, c in zip(_parts(baseline), _parts(candidate), strict=True)
    ]
    return np.asarray(np.logical_or.reduce(marks))


def _parts(array: Array) -> tuple[Array, ...]:
    return (array.real, array.imag) if array.dtype.kind == "c" else (array,)


def _deviation(baseline: Array, candidate: Array, finite: Array) -> Array:
    """Return absolute differences in 64 bits (128 for complex), 0 where either is not finite."""
    wide = np.complex128 if baseline.dtype.kind == "c" else np.float64
    with np.errstate(over="ignore"):  # two huge 64-bit values may differ by infinity: see `_largest`
        return np.asarray(np.abs(np.where(finite, candidate, 0).astype(wide) - np.where(finite, baseline, 0)))


def _largest(magnitudes: Array) -> float:
    """Return the largest; an overflow as the largest number there is, since JSON knows no infinity."""
    return min(float(magnitudes.max(initial=0)), sys.float_info.max)


def _relative(max_abs: float, scale: float, tiny: float) -> float:
    """Return `max_abs` over `scale`.

    A baseline that is zero everywhere has no scale. Then every deviation above the smallest
    normal number fails: both sides run the same kernels, so a zero must come out as zero.
    Below that number, `tiny`, processors may flush to zero, and TensorFlow tells them to.
    """
    return 0.0 if max_abs < tiny else min(max_abs / max(scale, tiny), sys.float_info.max)


def _tiny(dtype: "np.dtype[Any]") -> float:
    """Return the smallest normal number of the width that is computed in."""
    double = dtype in (np.dtype(np.float64), np.dtype(np.complex128))
    return float(np.finfo(np.float64 if double else np.float32).smallest_normal)


def _max_ulp(baseline: Array, candidate: Array, finite: Array) -> int:
    """Count steps; a bfloat16 was widened, so that its own step is 2**16 of those counted here."""
    parts = zip(_parts(baseline[finite]), _parts(candidate[finite]), strict=True)
    return max(int(_gaps(_ordered(b), _ordered(c)).max(initial=0)) for b, c in parts)


def _ordered(values: Array) -> Array:
    """Map floats to integers of their width that count the representable numbers; both zeros are 0."""
    bits = np.ascontiguousarray(values).view(f"i{values.dtype.itemsize}")
    return np.asarray(np.where(bits < 0, np.iinfo(bits.dtype).min - bits, bits))


def _gaps(left: Array, right: Array) -> Array:
    """Return absolute differences of integers; unsigned, as the difference of two extremes needs.

    In one dimension at least, since NumPy warns of the (wanted) wrap-around of a lone number.
    """
    larger, smaller = np.maximum(left, right), np.minimum(left, right)
    return np.asarray((np.atleast_1d(larger) - np.atleast_1d(smaller)).view(f"u{left.dtype.itemsize}"))


def _top1(baseline: Array, candidate: Array) -> float | None:
    if baseline.ndim < 2 or baseline.shape[-1] < 2 or baseline.dtype.kind == "c":
        return None
    return float(np.mean(np.argmax(baseline, axis=-1) == np.argmax(candidate, axis=-1)))


def _compare_exactly(baseline: Array, candidate: Array, blank: Comparison) -> Comparison:
    differs = _unequal(baseline, candidate)
    gaps = _gaps(baseline, candidate) if baseline.dtype.kind in "iu" else None
    count = int(np.count_nonzero(differs))
    histogram = ErrorHistogram(equal=differs.size - count, unequal=count)
    measured = replace(blank, max_abs=None if gaps is None else float(gaps.max()), histogram=histogram)
    if count == 0:
        return measured
    found = _at(measured, baseline, candidate, differs if gaps is None else gaps)
    return replace(found, verdict="failed", reason=f"{count} of {differs.size} values differ; {_whereabouts(found)}")


def _unequal(baseline: Array, candidate: Array) -> Array:
    kind = _kind(baseline.dtype)
    if kind == "whole":
        return np.asarray(baseline != candidate)
    if kind == "bytes":
        return np.asarray(_raw(baseline) != _raw(candidate))
    pairs = zip(baseline.flat, candidate.flat, strict=True)
    return np.array([_encoded(b) != _encoded(c) for b, c in pairs], bool)


def _raw(array: Array) -> Array:
    """Return the elements as opaque bytes, which NumPy compares as they are."""
    return np.asarray(np.ascontiguousarray(array).reshape(array.shape).view(f"V{array.dtype.itemsize}"))


def _encoded(value: Any) -> Any:
    """Return text as its UTF-8 bytes: a Session hands out bytes, a recorded golden may hold text."""
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
