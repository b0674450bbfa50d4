from dataclasses import replace

import pytest

from job.records import ArtifactReport
from job.report import verdict
from job.results import BenchmarkResult, ErrorHistogram
from tests import samples

OFF = BenchmarkResult(verdict="not_run", reason="--benchmark off")


@pytest.mark.parametrize(
    ("report", "mood", "words"),
    [
        (
            samples.PUBLISHED,
            "good",
            (
                "Converted, and proven to answer as the TF1 graph does: no value is off by more than 3.1e-07 of the "
                "output's largest magnitude (1e-05 is allowed), and its throughput is 1.18 times the TF1 graph's "
                "(95 % interval 1.15 to 1.21, batch 8)."
            ),
        ),
        (
            replace(samples.PUBLISHED, parity=replace(samples.PARITY, outputs=(samples.CLASSES,)), benchmark=OFF),
            "good",
            (
                "Converted, and proven to answer as the TF1 graph does: all 3 compared values are equal, and its speed "
                "was not measured."
            ),
        ),
        (samples.UNPROVEN, "unsure", "Converted, but not proven: the answers were not compared."),
        (
            samples.ALREADY_PUBLISHED,
            "good",
            "Already published by an earlier run, with the same source, options and versions.",
        ),
        (
            samples.PARITY_FAILED,
            "bad",
            "Not published: the answers differ by 3.1e-02 of the output's largest magnitude (1e-05 is allowed).",
        ),
        (samples.BROKEN, "bad", "Not published: the GraphDef is truncated at byte 1024."),
    ],
)
def test_one_sentence_says_it_all(report: ArtifactReport, mood: str, words: str) -> None:
    """What became of it, by how much it is off, and how fast it is."""
    assert verdict.mood(report) == mood
    assert verdict.sentence(report) == words


def test_an_interval_around_one_is_no_difference() -> None:
    """No ratio is told that could as well be its inverse."""
    even = replace(samples.BENCHMARK, measurements=(samples.measurement(8, 30.0, 1.01),))
    said = verdict.sentence(replace(samples.PUBLISHED, benchmark=even))
    assert said.endswith(
        "it is as fast as the TF1 graph, within what could be measured (95 % interval 0.98 to 1.04, batch 8)."
    )


def test_what_did_not_settle_is_said() -> None:
    """It was measured, and there is no figure."""
    restless = replace(samples.BENCHMARK, measurements=samples.BENCHMARK.measurements[2:])
    assert verdict.sentence(replace(samples.PUBLISHED, benchmark=restless)).endswith("and its speed did not settle.")


def test_random_outputs_have_no_error() -> None:
    """What was compared by distribution has no values that could be off."""
    drawn = replace(samples.CLASSES, method="distribution", histogram=ErrorHistogram())
    said = verdict.sentence(replace(samples.PUBLISHED, parity=replace(samples.PARITY, outputs=(drawn,))))
    assert "each output is held to its kind" in said
