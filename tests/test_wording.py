from dataclasses import replace

import pytest

from job import wording
from job.records import ArtifactReport, Finding, Format, Shape
from job.results import BenchmarkResult, GpuState, GpuWatch
from tests import samples


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (102_400_000, "102.4 MB"), (3e9, "3.0 GB"), (5e15, "5000.0 TB")],
)
def test_sizes_have_decimal_units(size_bytes: float, text: str) -> None:
    """Sizes are written as disks and stores write them."""
    assert wording.size(size_bytes) == text


def test_weightiest_findings_come_first() -> None:
    """Warnings are not buried under notes; those of one weight keep their order."""
    findings = [Finding(code="a", cause=""), Finding(code="b", cause="")]
    warning = Finding(code="c", cause="", severity="warning")
    assert wording.weightiest_first([*findings, warning]) == [warning, *findings]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0.000"), (0.1234, "0.123"), (1.234, "1.23"), (12.34, "12.3"), (123.4, "123"), (1234.5, "1,234")],
)
def test_figures_have_three_digits(value: float, text: str) -> None:
    """A measured number is written as exactly as it is known, without an exponent."""
    assert wording.figure(value) == text


@pytest.mark.parametrize(("dimensions", "text"), [(None, "any shape"), ((), "[]"), ((None, 3), "[?, 3]")])
def test_unknown_dimensions_are_question_marks(dimensions: Shape, text: str) -> None:
    """A free dimension, a lone number and an unknown rank are three things."""
    assert wording.shape(dimensions) == text


def test_every_format_has_a_name() -> None:
    """A format that is added is named for people, too."""
    assert set(wording.FORMAT_NAMES) == set(Format)


def test_deviation_is_relative_or_a_word() -> None:
    """Floats show their relative error; exact types that they equal, differ, or were not compared."""
    assert wording.deviation(samples.PROBABILITIES) == "3.1e-07"
    assert wording.deviation(replace(samples.PROBABILITIES, relative=0.0)) == "none"
    assert wording.deviation(samples.CLASSES) == "none"
    assert wording.deviation(replace(samples.CLASSES, verdict="failed")) == "differs"
    assert wording.deviation(replace(samples.CLASSES, verdict="not_run")) == "not run"


def test_the_worst_output_speaks_for_all() -> None:
    """A failed output outweighs one with a larger error that passed."""
    failed = replace(samples.CLASSES, verdict="failed")
    loose = replace(samples.PROBABILITIES, relative=0.5, tolerance=1.0)
    assert wording.parity(replace(samples.PARITY, outputs=(loose, failed))) == "differs"
    assert wording.parity(replace(samples.PARITY, outputs=(samples.CLASSES, loose))) == "5.0e-01"
    assert wording.parity(samples.UNPROVEN.parity) == "not run"
    assert wording.parity(None) == wording.NOTHING


def test_best_is_the_fastest_stable_batch() -> None:
    """Batch 16 was faster than batch 8, but unstable, and batch 1 had the higher ratio."""
    assert [each.measured.batch_size for each in wording.best(samples.PUBLISHED)] == [8]
    assert wording.speed(samples.PUBLISHED) == "1.18x (1.15 to 1.21), batch 8"


@pytest.mark.parametrize(
    "report",
    [
        samples.PARITY_FAILED,
        samples.UNPROVEN,
        replace(samples.PUBLISHED, parity=None),
        replace(samples.PUBLISHED, as_run=replace(samples.AS_RUN, verdict="failed")),
        replace(samples.PUBLISHED, benchmark=None),
        replace(samples.PUBLISHED, benchmark=BenchmarkResult(verdict="not_run", reason="out of memory")),
    ],
)
def test_no_speed_is_told_without_parity_or_measurement(report: ArtifactReport) -> None:
    """What failed parity, was not compared or not measured has no ratio, and the sentence says why."""
    assert wording.speed(report) == wording.NOTHING
    assert wording.speed_sentence(report) == f"No speed is told: {wording.why_no_speed(report)}."
    assert wording.why_no_speed(report) != ""


def test_unstable_has_no_ratio() -> None:
    """A measurement that did not settle is called unstable, and its ratio is kept back."""
    unstable = samples.measurement(1, 20.0, 3.21, stable=False)
    report = replace(samples.PUBLISHED, benchmark=replace(samples.BENCHMARK, measurements=(unstable,)))
    assert wording.speed(report) == "unstable"
    assert wording.speed_sentence(report) == "No speed is told: the measurement was not stable."


@pytest.mark.parametrize(
    ("ratio", "words"),
    [(1.18, "has 1.18 times the TF1 graph's throughput"), (0.8, "slower."), (1.02, "is as fast as the TF1 graph")],
)
def test_an_interval_around_one_is_no_difference(ratio: float, words: str) -> None:
    """2 % within an interval of 3 % is neither faster nor slower."""
    measurements = (samples.measurement(8, 100.0, ratio),)
    report = replace(samples.PUBLISHED, benchmark=replace(samples.BENCHMARK, measurements=measurements))
    assert words in wording.speed_sentence(report)


def test_the_fast_variant_is_told_beside_the_model() -> None:
    """Each is told where it is fastest, which need not be the same batch, nor the same feeding."""
    slower, faster = samples.measurement(1, 40.0, 1.3), samples.measurement(8, 30.0, 1.0)
    measurements = (
        samples.with_fast(slower, 50.0, 1.6),
        replace(samples.with_fast(faster, 90.0, 3.0), feeding="device"),
    )
    report = replace(samples.PUBLISHED, benchmark=replace(samples.BENCHMARK, measurements=measurements))
    assert wording.speed(report) == "1.30x (1.27 to 1.33), batch 1; fast 3.00x (2.97 to 3.03), batch 8"
    assert "saved_model_fast has 3.00 times the TF1 graph's throughput at batch 8, inputs and outputs staying on" in (
        wording.speed_sentence(report)
    )


def test_a_gpu_is_described_in_a_line() -> None:
    """Clocks and temperature before and after, power, busy share, and why clocks were lowered."""
    before = GpuState(sm_clock_mhz=1980, memory_clock_mhz=2619, temperature_c=41, power_w=120.0)
    after = replace(before, sm_clock_mhz=1755, temperature_c=63, power_w=698.5)
    watched = GpuWatch(before=before, after=after, throttled=("power cap",), busy=0.97)
    assert wording.gpu(watched) == (
        "SM 1980 to 1755 MHz, memory 2619 MHz, 41 to 63 °C, 698 W, busy 97%, clocks lowered by: power cap"
    )
    assert "busy" not in wording.gpu(replace(watched, busy=None))


def test_headlines_tell_outcomes_apart() -> None:
    """No two outcomes share a sentence, and only a passed comparison is called proven."""
    headlines = {wording.headline(report) for report in samples.REPORTS}
    assert len(headlines) == len(samples.REPORTS)
    assert [text for text in headlines if "proven to" in text] == [wording.headline(samples.PUBLISHED)]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("architecture_recognised", "built from the checkpoint's names, TensorFlow 1.15.5."),
        ("architecture_given", "that your function built."),
        ("training_switch", "as the TF1 graph does."),
    ],
)
def test_the_headline_names_what_was_compared_with(code: str, words: str) -> None:
    """Where the job or the user built the graph, its answers are not called those of the TF1 graph."""
    summary = replace(samples.SUMMARY, findings=(Finding(code=code, cause="so it is"),))
    assert wording.headline(replace(samples.PUBLISHED, summary=summary)).endswith(words)


def test_long_lists_of_names_are_cut() -> None:
    """A message shows the first names and counts the rest."""
    assert wording.shown(["a", "b"]) == "a, b"
    assert wording.shown(list("abcdefgh"), 5) == "a, b, c, d, e and 3 more"
    assert wording.shown([f"v{number}" for number in range(13)]).endswith("v9 and 3 more")
