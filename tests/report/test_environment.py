from dataclasses import replace

from job.report import environment
from tests import samples


def test_each_fact_is_told_once() -> None:
    """What all stages say alike has one line, what differs has the stage beside it, and the mode is no fact."""
    report = replace(
        samples.PUBLISHED,
        environment={"tensorflow": "2.21.0"},
        parity=replace(samples.PARITY, environment={"tensorflow": "2.21.0", "mode": "exact", "grappler": "off"}),
        as_run=replace(samples.AS_RUN, environment={"tensorflow": "2.21.0", "mode": "as_run", "grappler": "on"}),
        benchmark=replace(samples.BENCHMARK, environment={"device": "cpu", "grappler": "on"}),
    )
    assert environment.told(report) == {
        "tensorflow": "2.21.0",
        "grappler": "off",
        "grappler, compared as run": "on",
        "grappler, measured": "on",
        "device": "cpu",
    }
