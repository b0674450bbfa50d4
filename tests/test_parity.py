from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from job import decades
from job.parity import BFLOAT16_TOLERANCE, HALF_TOLERANCE, Comparison, compare, tolerance_for, worst
from job.results import Decade, ErrorHistogram

FLOATS = (np.float16, np.float32, np.float64, np.complex64, np.complex128)
WHOLES = (np.bool_, np.int8, np.int32, np.int64, np.uint8, np.uint64)


def floats(values: object, dtype: Any = np.float32) -> "np.ndarray[Any, Any]":
    return np.array(values, dtype)


def strings(*values: object) -> "np.ndarray[Any, Any]":
    return np.array(values, object)


@pytest.mark.parametrize("dtype", [*FLOATS, *WHOLES])
def test_equal_answers_pass(dtype: Any) -> None:
    """Whatever the type, a copy of the baseline passes with tolerance 0."""
    baseline = np.array([[0, 1], [1, 0]], dtype)
    assert compare(baseline, baseline.copy(), tolerance=0).verdict == "passed"


@pytest.mark.parametrize("dtype", [*FLOATS, *WHOLES])
def test_one_wrong_value_fails(dtype: Any) -> None:
    """Whatever the type, a 1 that became 0 fails and is found."""
    baseline = np.array([[0, 1], [1, 0]], dtype)
    candidate = baseline.copy()
    candidate[1, 0] = 0
    found = compare(baseline, candidate, tolerance=1e-3)
    assert (found.verdict, found.worst_index) == ("failed", (1, 0))


def test_error_is_relative_to_the_largest_baseline_value() -> None:
    """0.002 off where the baseline reaches -4 is a relative error of 0.0005."""
    found = compare(floats([0, -4, 2]), floats([0, -4, 2.002]), tolerance=1e-3)
    assert found.verdict == "passed"
    assert found.max_abs == pytest.approx(0.002, rel=1e-4)
    assert found.relative == pytest.approx(0.0005, rel=1e-4)
    assert found.scale == 4


def test_tolerance_itself_still_passes() -> None:
    """An error of exactly the tolerance passes, a larger one does not."""
    baseline, candidate = floats([4, 1]), floats([4, 1.5])
    assert compare(baseline, candidate, tolerance=0.125).verdict == "passed"
    assert compare(baseline, candidate, tolerance=0.1249).verdict == "failed"


def test_reason_names_index_and_both_values() -> None:
    """The message says where the largest error is and what both sides hold there."""
    found = compare(floats([[1, 2], [3, 4]]), floats([[1, 2.1], [3.5, 4]]), tolerance=1e-5)
    assert found.reason == "relative error 0.12 exceeds 1e-05; worst at [1, 0]: baseline 3, candidate 3.5"


def test_lone_numbers_compare() -> None:
    """Outputs without dimensions are compared, in any type, and their index is empty."""
    assert compare(floats(1), floats(2), tolerance=0.1).worst_index == ()
    assert compare(np.array(-(2**63)), np.array(2**63 - 1), tolerance=0).max_abs == pytest.approx(2.0**64)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_ulp_counts_representable_numbers(dtype: Any) -> None:
    """The next representable number is 1 ULP away, also across zero, and both zeros are one number."""
    one = dtype(1)
    up = np.nextafter(one, dtype(2), dtype=dtype)
    smallest = np.nextafter(dtype(0), one, dtype=dtype)
    assert compare(floats([one], dtype), floats([up], dtype), tolerance=1).max_ulp == 1
    assert compare(floats([-smallest], dtype), floats([smallest], dtype), tolerance=1).max_ulp == 2
    assert compare(floats([-0.0], dtype), floats([0.0], dtype), tolerance=1).max_ulp == 0


def test_ulp_between_the_extremes_does_not_overflow() -> None:
    """From the lowest to the highest 64-bit float there are more steps than a signed integer holds."""
    largest = np.finfo(np.float64).max
    found = compare(floats([-largest], np.float64), floats([largest], np.float64), tolerance=1)
    assert found.max_ulp is not None
    assert found.max_ulp > 2**63


def test_figures_stay_finite() -> None:
    """A difference beyond the largest number is reported as that number, which JSON can hold, and fails."""
    largest = np.finfo(np.float64).max
    found = compare(floats([-largest], np.float64), floats([largest], np.float64), tolerance=1e-5)
    assert (found.verdict, found.max_abs) == ("failed", largest)


def test_half_floats_do_not_overflow() -> None:
    """The difference of the two extremes of float16 is computed in more bits than they have."""
    assert compare(floats([65504], np.float16), floats([-65504], np.float16), tolerance=0).max_abs == 131008


@pytest.mark.parametrize("unlike", [1.0, np.inf, -np.inf])
def test_nan_must_be_in_the_same_places(unlike: float) -> None:
    """NaN against a number or an infinity fails, in both directions and whatever the tolerance."""
    nan, other = floats([1, np.nan]), floats([1, unlike])
    for found in (compare(nan, other, tolerance=1e9), compare(other, nan, tolerance=1e9)):
        assert found.verdict == "failed"
        assert found.worst_index == (1,)
        assert "NaN or infinity in different places" in found.reason


def test_infinity_keeps_its_sign() -> None:
    """+inf and -inf differ, and either from a number."""
    for candidate in (-np.inf, 1.0):
        assert compare(floats([1, np.inf]), floats([1, candidate]), tolerance=1e9).verdict == "failed"
    assert compare(floats([1, -np.inf]), floats([1, 1]), tolerance=1e9).verdict == "failed"


def test_equal_nan_and_infinity_do_not_hide_the_rest() -> None:
    """Where both are not finite nothing is measured; the finite values beside them still count."""
    baseline = floats([np.nan, np.inf, -np.inf, 2])
    assert compare(baseline, baseline.copy(), tolerance=0).verdict == "passed"
    assert compare(baseline, floats([np.nan, np.inf, -np.inf, 3]), tolerance=1e-5).relative == 0.5


def test_nan_in_one_part_of_a_complex_number_is_seen() -> None:
    """The parts of a complex number are looked at apart: nan+0j is not 0+nanj."""
    baseline = np.array([complex(np.nan, 0), 1], np.complex64)
    candidate = np.array([complex(0, np.nan), 1], np.complex64)
    assert compare(baseline, candidate, tolerance=1).verdict == "failed"


def test_nothing_finite_is_not_run() -> None:
    """An output that is NaN all over proves nothing, although both sides agree."""
    found = compare(floats([np.nan, np.inf]), floats([np.nan, np.inf]), tolerance=1e-5)
    assert found.verdict == "not_run"
    assert "nothing to compare" in found.reason


def test_zero_baseline_wants_zero() -> None:
    """Where the baseline is zero everywhere there is no scale: the smallest normal deviation fails and says why."""
    found = compare(floats([0, 0]), floats([0, 1e-12]), tolerance=1e-5)
    assert found.verdict == "failed"
    assert "off by 1e-12 where the baseline is zero everywhere" in found.reason
    assert compare(floats([0, 0]), floats([0, -0.0]), tolerance=0).verdict == "passed"


def test_flushed_subnormals_are_no_deviation() -> None:
    """A processor that flushes subnormal numbers to zero did not convert wrongly."""
    assert compare(floats([1e-39, 0]), floats([0, 0]), tolerance=0).verdict == "passed"


def test_shape_mismatch_fails_with_both_shapes() -> None:
    """[2] against [1, 2] is not broadcast but refused, and both shapes are named."""
    found = compare(floats([1, 2]), floats([[1, 2]]), tolerance=1)
    assert (found.verdict, found.reason) == ("failed", "the shape differs: baseline [2], candidate [1, 2]")


def test_type_mismatch_fails_with_both_types() -> None:
    """Equal numbers of another type are another answer."""
    found = compare(floats([1, 2]), floats([1, 2], np.float64), tolerance=1)
    assert (found.verdict, found.reason) == ("failed", "the type differs: baseline float32, candidate float64")


@pytest.mark.parametrize("dtype", [np.float32, np.int64, object])
def test_empty_outputs_prove_nothing(dtype: Any) -> None:
    """An output without elements can be wrong in its shape, and is right in nothing that was compared."""
    assert compare(np.empty((0, 5), dtype), np.empty((0, 5), dtype), tolerance=0).verdict == "not_run"
    assert compare(np.empty((0, 5), dtype), np.empty((0, 4), dtype), tolerance=0).verdict == "failed"


def test_integers_are_exact_beyond_what_floats_hold() -> None:
    """2**53 and its successor are the same float64, and still differ."""
    found = compare(np.array([2**53]), np.array([2**53 + 1]), tolerance=1)
    assert (found.verdict, found.max_abs, found.tolerance) == ("failed", 1, 0)


def test_integer_differences_do_not_wrap() -> None:
    """-128 and 127 are 255 apart, though that is -1 in eight bits."""
    assert compare(np.array([-128], np.int8), np.array([127], np.int8), tolerance=0).max_abs == 255


def test_strings_are_exact() -> None:
    """Strings are compared byte for byte, to the trailing zero that NumPy's own string type drops."""
    found = compare(strings(b"cat", b"dog\0"), strings(b"cat", b"dog"), tolerance=1)
    assert found.verdict == "failed"
    assert found.reason == "1 of 2 values differ; worst at [1]: baseline b'dog\\x00', candidate b'dog'"


def test_strings_have_one_type_however_numpy_holds_them() -> None:
    """Bytes in objects, fixed-width bytes and text are all TensorFlow's string."""
    baseline = strings("é".encode(), b"b")
    assert compare(baseline, np.array(["é".encode(), b"b"]), tolerance=0).verdict == "passed"
    assert compare(baseline, np.array(["é", "b"]), tolerance=0).verdict == "passed"


def test_long_strings_are_cut_in_the_message() -> None:
    """A message does not carry a whole document."""
    assert len(compare(strings(b"a" * 9999), strings(b"b"), tolerance=0).reason) < 200


def test_quantised_types_are_exact_and_named() -> None:
    """TensorFlow's qint8 is a structure to NumPy: values and even its kin quint8 are told apart."""
    qint8, quint8 = np.dtype([("qint8", "i1")]), np.dtype([("quint8", "u1")])
    zeros = np.zeros(2, qint8)
    assert compare(zeros, zeros.copy(), tolerance=0).verdict == "passed"
    assert compare(zeros, np.ones(2, qint8), tolerance=1).verdict == "failed"
    assert "baseline qint8, candidate quint8" in compare(zeros, np.zeros(2, quint8), tolerance=1).reason


def test_bfloat16_counts_its_own_steps() -> None:
    """A bfloat16 one step up is 1 ULP and 2**-7 away."""
    bfloat16 = pytest.importorskip("ml_dtypes", reason="comes with TensorFlow").bfloat16
    found = compare(floats([1, 0], bfloat16), floats([1 + 2**-7, 0], bfloat16), tolerance=BFLOAT16_TOLERANCE)
    assert (found.verdict, found.max_ulp, found.max_abs) == ("passed", 1, 2**-7)
    assert tolerance_for(np.dtype(bfloat16), 1e-5) == BFLOAT16_TOLERANCE


def test_top1_is_the_share_of_rows_that_agree() -> None:
    """One of four rows puts its largest entry elsewhere; vectors and single columns have no rows to rank."""
    baseline = floats([[0, 1], [1, 0], [0, 1], [0.5, 0.6]])
    candidate = floats([[0, 1], [1, 0], [0, 1], [0.6, 0.5]])
    assert compare(baseline, candidate, tolerance=1).top1 == 0.75
    assert compare(baseline[0], candidate[0], tolerance=1).top1 is None
    assert compare(baseline[:, :1], candidate[:, :1], tolerance=1).top1 is None


def test_comparing_changes_nothing() -> None:
    """The arrays are only read, so that a frozen one is as good."""
    baseline, candidate = floats([np.nan, 1]), floats([np.nan, 2])
    baseline.setflags(write=False)
    candidate.setflags(write=False)
    assert compare(baseline, candidate, tolerance=1).verdict == "passed"


def test_narrow_floats_have_their_own_tolerance() -> None:
    """float16 cannot meet 1e-5, a wider tolerance of the user holds for all, and whole numbers have none."""
    assert tolerance_for(np.dtype(np.float16), 1e-5) == HALF_TOLERANCE
    assert tolerance_for(np.dtype(np.float16), 0.5) == 0.5
    assert tolerance_for(np.dtype(np.float32), 1e-5) == tolerance_for(np.dtype(np.float64), 1e-5) == 1e-5
    assert tolerance_for(np.dtype(np.int32), 1e-5) == tolerance_for(np.dtype(object), 1e-5) == 0


def sampled(*errors: float) -> Sequence[Comparison]:
    return [compare(floats([[2, 1]]), floats([[2, 1 + error]]), tolerance=0.1) for error in errors]


def test_worst_takes_the_worst_sample() -> None:
    """Figures, index, reason and name are those of the sample that is furthest off."""
    comparisons = [replace(one, sample=name) for one, name in zip(sampled(0.0, 0.5, 0.25), "abc", strict=True)]
    found = worst(comparisons)
    assert found.sample == "b"
    assert replace(found, histogram=comparisons[1].histogram) == comparisons[1]


def test_worst_counts_the_elements_of_every_sample() -> None:
    """The histogram is of all samples together, and not of the worst alone."""
    tenths = Decade(exponent=-1, count=2)
    assert worst(sampled(0.0, 0.5, 0.25)).histogram == ErrorHistogram(equal=4, decades=(tenths,))


def test_elements_are_counted_by_decade_of_the_scale() -> None:
    """Of a scale of 2: equal, 5e-7, 0.05 and 0.5 of it off; whatever is NaN on one side has no measure."""
    found = compare(floats([2, 1, 1, 1, 1]), floats([2, 1.000001, 1.1, 2, np.nan]), tolerance=1).histogram
    decades = tuple(Decade(exponent=exponent, count=1) for exponent in (-7, -2, -1))
    assert found == ErrorHistogram(equal=1, decades=decades, unequal=1)
    assert found.elements == 5


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.complex64])
def test_every_element_is_in_one_place_of_the_histogram(dtype: Any) -> None:
    """Random errors of many sizes, infinities and zeros: none is lost, and the decade of the largest is the last."""
    drawn = np.random.default_rng(0)
    baseline = drawn.normal(size=(50, 40)).astype(dtype)
    candidate = (baseline * (1 + drawn.choice([0, 1e-3, 1e-2], size=baseline.shape))).astype(dtype)
    baseline[0, 0] = np.inf
    found = compare(baseline, candidate, tolerance=1)
    assert found.histogram.elements == baseline.size
    assert found.histogram.unequal == 1
    assert found.relative is not None
    assert found.histogram.decades[-1].exponent == np.floor(np.log10(found.relative))


def test_a_baseline_of_zeros_has_its_errors_counted() -> None:
    """Where there is no scale any deviation is as far off as can be; the smallest of all are none."""
    found = compare(floats([0, 0, 0]), floats([0, 1e-40, 1e-3]), tolerance=1).histogram
    assert found == ErrorHistogram(equal=2, decades=(Decade(exponent=decades.HIGHEST, count=1),))


def test_whole_numbers_and_text_are_equal_or_not() -> None:
    """They have no scale, so that they fall into no decade."""
    assert compare(np.array([1, 2]), np.array([1, 3]), tolerance=1).histogram == ErrorHistogram(equal=1, unequal=1)
    assert compare(strings("a", "b"), strings("a", "c"), tolerance=1).histogram == ErrorHistogram(equal=1, unequal=1)


def test_what_cannot_be_compared_has_an_empty_histogram() -> None:
    """Other shapes have no values to hold against each other."""
    assert compare(floats([1]), floats([1, 2]), tolerance=1).histogram.elements == 0


def test_worst_of_each_figure_counts() -> None:
    """The sample with the largest relative error need not be the one whose top-1 suffered."""
    flipped = compare(floats([[1, 1.001]]), floats([[1.001, 1]]), tolerance=0.1)
    found = worst([flipped, *sampled(0.5)])
    assert (found.relative, found.top1) == (0.25, 0.0)


def test_a_failure_outweighs_any_figure() -> None:
    """A sample with another shape has no figures, and is still the worst."""
    broken = compare(floats([1]), floats([1, 2]), tolerance=0.1)
    assert worst([*sampled(0.9), broken, *sampled(0.0)]).reason == broken.reason


def test_a_sample_of_nan_is_forgiven_if_another_was_compared() -> None:
    """Not run only if no sample could be compared."""
    nothing = compare(floats([np.nan]), floats([np.nan]), tolerance=0.1)
    assert worst([nothing, *sampled(0.0)]).verdict == "passed"
    assert worst([nothing, nothing]).verdict == "not_run"
