from dataclasses import replace

import pytest

from job.records import ArtifactReport
from job.report import histogram
from job.report.figures import plots_of
from job.results import Decade, ErrorHistogram
from tests import samples


def with_histogram(counted: ErrorHistogram) -> ArtifactReport:
    """Return a report whose only output has it."""
    output = replace(samples.PROBABILITIES, histogram=counted)
    return replace(samples.PUBLISHED, parity=replace(samples.PARITY, outputs=(output,)), as_run=None)


def test_the_whole_is_the_sum_of_the_outputs() -> None:
    """Every compared value counts once."""
    outputs = samples.PARITY.outputs
    assert histogram.whole(samples.PARITY).elements == sum(output.histogram.elements for output in outputs)
    assert histogram.whole(None) == ErrorHistogram()


def test_the_decades_in_between_have_columns_too() -> None:
    """A gap in the table would look as if the decades on its sides were neighbours."""
    assert list(histogram.exponents(samples.PUBLISHED)) == [-9, -8, -7, -6]
    assert list(histogram.exponents(samples.BROKEN)) == []


def test_rows_are_the_comparisons_and_their_outputs() -> None:
    """A comparison with one output has no row beside that of the whole."""
    told = [(row.name, row.comparison, row.is_whole) for row in histogram.rows(samples.PUBLISHED)]
    assert told == [
        ("All outputs", "conversion alone", True),
        ("classes of serving_default", "conversion alone", False),
        ("probabilities of serving_default", "conversion alone", False),
        ("All outputs", "as run", True),
    ]


@pytest.mark.parametrize(
    ("counted", "words"),
    [
        (ErrorHistogram(equal=1200), "all 1,200 compared values are equal."),
        (ErrorHistogram(unequal=2), "all 2 differ without a measure."),
        (ErrorHistogram(decades=(Decade(exponent=-8, count=5),)), "all 5 are off by less than 10⁻⁷ of the scale."),
        (
            ErrorHistogram(equal=3, decades=(Decade(exponent=-8, count=5),), unequal=1),
            "of 9 compared values 3 are equal, 5 are off by less than 10⁻⁷ of the scale, 1 differ without a measure.",
        ),
    ],
)
def test_the_histogram_in_words(counted: ErrorHistogram, words: str) -> None:
    """What a plot shows is said to who cannot see it."""
    assert histogram.told(with_histogram(counted)) == f"Conversion alone: {words}"


def test_nothing_is_said_of_what_was_not_compared() -> None:
    """Where parity was not run there are no values."""
    assert histogram.told(samples.UNPROVEN) == ""
    assert histogram.has_errors(samples.UNPROVEN) is False


def test_the_plot_has_a_bar_for_each_decade_and_comparison() -> None:
    """Equal ones and two decades alone, two decades as run; the tolerance is marked where it is in sight."""
    (plot,) = plots_of(samples.PUBLISHED)["parity"]
    assert plot.svg.count("fill: var(--exact)") == 3
    assert plot.svg.count("fill: var(--as-run)") == 2
    assert ">tolerance<" in plot.svg
    assert plot.series == {"exact": "conversion alone", "as-run": "as run"}


def test_a_tolerance_out_of_sight_is_not_marked() -> None:
    """A rule at the edge would say something that is not so."""
    small = ErrorHistogram(equal=1, decades=(Decade(exponent=-12, count=1),))
    (plot,) = plots_of(replace(with_histogram(small)))["parity"]
    assert ">tolerance<" not in plot.svg


def test_values_without_a_measure_have_a_bar_of_their_own() -> None:
    """NaN on one side, or another whole number."""
    counted = ErrorHistogram(decades=(Decade(exponent=-12, count=1),), unequal=4)
    (plot,) = plots_of(with_histogram(counted))["parity"]
    assert ">≠<" in plot.svg
    assert plot.svg.count("fill: var(--exact)") == 2
