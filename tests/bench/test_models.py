from pathlib import Path

from job.results import Ratio
from tests.bench.contest import Entry, Result, Unable
from tests.bench.models import BASELINE, FAITHFUL, Field, table
from tests.bench.preparing import Model


def result(throughput_per_s: float, ratio: float = 1.0, *, steady: bool = True) -> Result:
    interval = Ratio(value=ratio, low=ratio - 0.1, high=ratio + 0.1)
    return Result(throughput_per_s=throughput_per_s, ratio=interval, deviation=2e-6, steady=steady)


def test_a_row_for_everyone() -> None:
    """Who ran has figures, or the reason at the batch that it could not take; who could not be made has a row too."""
    found = Field(entries=[Entry(name=name, command=()) for name in (BASELINE, FAITHFUL)])
    found.enter("tf2onnx", lambda: (_ for _ in ()).throw(Unable("no such environment")))
    swept: dict[int, dict[str, Result | Unable]] = {
        1: {BASELINE: result(10), FAITHFUL: result(9.8, 0.98, steady=False)},
        8: {BASELINE: result(10.2), FAITHFUL: Unable("out of memory")},
    }
    made = table(Model(name="lstm", directory=Path(), flop=1.0), found, swept, rounds=3, versions="TensorFlow 9")
    assert made.columns == ("", "far", "batch 1", "batch 8")
    assert made.rows == (
        (BASELINE, "", "10/s", "10.2/s"),
        (FAITHFUL, "2e-06", "9.8/s, 0.98 (0.88 to 1.08) ~", "not measured: out of memory"),
        ("tf2onnx", "not measured: no such environment", "", ""),
    )
    assert "saturates at batch 1" in made.measured
