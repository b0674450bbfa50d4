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
            replace(samples.ALREADY_PUBLISHED, parity=samples.UNPROVEN.parity),
            "unsure",
            (
                "Already published by an earlier run, with the same source, options and versions, but not proven: the "
                "answers were not compared."
            ),
        ),
        (
            replace(samples.BROKEN, parity=samples.PARITY_FAILED.parity),
            "bad",
            "Not published: the GraphDef is truncated at byte 1024.",
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


def test_the_comparison_as_run_tells_the_limit_that_it_is_held_to() -> None:
    """It refuses as the exact one does, by a looser limit that is the record's own; what has no limit is not judged."""
    loose = replace(samples.PARITY.outputs[0], dtype="float32", tolerance=0.05)
    as_run = replace(samples.PARITY, mode="as_run", outputs=(samples.CLASSES, loose))
    assert "beyond 0.05 of an output's largest magnitude nothing is published (code 41)" in verdict.as_run_told(as_run)
    whole = replace(as_run, outputs=(samples.CLASSES,))
    assert verdict.as_run_told(whole).endswith("they are reported, and not judged.")
    assert "41" not in verdict.as_run_told(replace(as_run, outputs=()))
