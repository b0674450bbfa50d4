import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from job.latency import Window
from tests.bench.contest import Entry, Result, Unable, compete, deviation, entry, first_line, started

INPUTS = Path("inputs.npy")


class Fake:
    """A contender: its calls take `call_s`, `answer` is its answer, `most` its largest; it dies after `windows`."""

    def __init__(self, call_s: float, answer: float = 1.0, most: int = 8, windows: int = 99) -> None:
        self._call_s, self._answer, self._most, self._windows = call_s, answer, most, windows
        self.calls = list[int]()

    def bind(self, inputs: Path, batch: int) -> float:
        """See `Contender`."""
        assert inputs == INPUTS
        if batch > self._most:
            raise Unable("out of memory")
        return 1.0

    def answers(self) -> Mapping[str, Any]:
        """See `Contender`."""
        return {"logits": np.array([self._answer, -2.0])}

    def run(self, calls: int) -> Window:
        """See `Contender`."""
        self.calls.append(calls)
        if len(self.calls) > self._windows:
            raise Unable("it was killed")
        return Window(latencies_s=(self._call_s,) * calls)


def test_ratio_to_the_first() -> None:
    """A contender of half the time has twice the first's throughput, and its deviation is of the first's scale."""
    found = compete({"slow": Fake(0.02), "fast": Fake(0.01, answer=1.5)}, INPUTS, 4, rounds=3, window_s=0.1)
    fast = found["fast"]
    assert isinstance(fast, Result)
    assert fast.throughput_per_s == pytest.approx(400)
    assert fast.ratio.value == pytest.approx(2)
    assert fast.deviation == pytest.approx(0.25)
    assert fast.steady


def test_windows_are_filled_and_the_first_round_is_not_counted() -> None:
    """Windows hold as many calls as fill them: one to find out, one round to warm up, then those that count."""
    fake = Fake(0.02)
    compete({"one": fake}, INPUTS, 1, rounds=3, window_s=0.1)
    assert fake.calls == [1, 5, 5, 5, 5]


def test_who_cannot_is_left_out_with_its_reason() -> None:
    """A contender that cannot take a batch costs nobody else the race."""
    found = compete({"able": Fake(0.01), "small": Fake(0.01, most=1)}, INPUTS, 4, rounds=3, window_s=0.1)
    assert isinstance(found["able"], Result)
    assert str(found["small"]) == "out of memory"


def test_who_dies_in_the_race_costs_nobody_else_it() -> None:
    """What the others were measured by stays; the one that died has its reason for a result."""
    found = compete({"able": Fake(0.01), "ill": Fake(0.01, windows=3)}, INPUTS, 4, rounds=3, window_s=0.1)
    assert isinstance(found["able"], Result)
    assert str(found["ill"]) == "it was killed"


def test_without_the_first_there_is_no_race() -> None:
    """All is told relative to the first: where it cannot run, nothing is."""
    with pytest.raises(Unable, match="out of memory"):
        compete({"small": Fake(0.01, most=1), "able": Fake(0.01)}, INPUTS, 4, rounds=1)


def test_other_outputs_deviate_without_end() -> None:
    """Answers of other names or shapes are not compared as if they were the same."""
    ones, broken = np.ones(2), np.array([1.0, np.nan])
    assert deviation({"a": ones, "b": ones}, {"a": ones, "b": broken}) == float("inf")
    assert deviation({"a": ones}, {"b": ones}) == float("inf")
    assert deviation({"a": ones}, {"a": np.ones(3)}) == float("inf")
    assert deviation({"a": ones, "b": ones}, {"a": ones, "b": ones * 1.5}) == pytest.approx(0.5)


def test_a_process_that_cannot_load_says_why(tmp_path: Path) -> None:
    """The last line of a contender that died is its reason."""
    dying = Entry(name="dying", command=(sys.executable, "-c", "raise RuntimeError('no such runtime')"))
    with (
        started([dying], tmp_path) as processes,
        pytest.raises(Unable, match="RuntimeError: no such runtime"),
    ):
        processes["dying"].run(1)


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    """What a contender's runtime says of a file comes as its reason, in one line."""
    lost = entry("lost", "onnx", tmp_path / "lost.onnx")
    with started([lost], tmp_path) as processes, pytest.raises(Unable) as caught:
        processes["lost"].bind(tmp_path / "inputs.npy", 1)
    assert len(str(caught.value).splitlines()) == 1


def test_first_line() -> None:
    """A reason fits a cell."""
    assert first_line("\n  first \nsecond") == "first"
    assert len(first_line("x" * 500)) == 160
