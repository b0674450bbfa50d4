from dataclasses import replace

from job.report.figures import plots_of
from job.results import TuningResult
from tests import samples


def test_a_row_for_each_variant_and_batch_that_is_settled() -> None:
    """The lap at batch 16 says nothing, and what was not proven has none."""
    (plot,) = plots_of(samples.PUBLISHED)["variants"]
    assert ">folded, batch 1<" in plot.svg
    assert ">folded, batch 8<" in plot.svg
    assert "batch 16<" not in plot.svg
    assert "folded_bf16" not in plot.svg


def test_the_rows_are_said_to_who_cannot_see_them() -> None:
    """With the intervals that are drawn."""
    (plot,) = plots_of(samples.PUBLISHED)["variants"]
    assert "folded 1.17x (1.15 to 1.19) at batch 1, 1.02x (0.99 to 1.04) at batch 8" in plot.svg


def test_a_race_that_was_not_run_is_not_drawn() -> None:
    """There is nothing to draw."""
    tuning = TuningResult(verdict="not_run", reason="--benchmark off")
    assert "variants" not in plots_of(replace(samples.PUBLISHED, tuning=tuning))
