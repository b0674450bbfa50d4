"""Contenders in processes of their own, run against each other by windows in turn."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from math import ceil, isfinite
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import numpy as np

from job.latency import Window, agree, throughput_per_s, throughput_ratio
from job.results import Ratio

ROOT: Final = Path(__file__).resolve().parents[2]

WINDOW_S: Final = 0.5
"""How long a window is, where a call is shorter."""

Answers = Mapping[str, Any]
Done = TypeVar("Done")


class Unable(Exception):
    """A contender cannot take part; the text says why."""


class Contender(Protocol):
    """Something that runs a model; every method raises `Unable` where it cannot."""

    def bind(self, inputs: Path, batch: int) -> float:
        """Take a batch of these examples, run it once, and return what that took, in ms."""

    def answers(self) -> Mapping[str, Any]:
        """Return the outputs for the batch."""

    def run(self, calls: int) -> Window:
        """Run the batch so many times."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A contender before it is started; `command` ends in what `tests.bench.contender` takes."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


class Process:
    """A `Contender` in a process, which is asked by lines of JSON."""

    def __init__(self, entry: Entry, scratch: Path) -> None:
        self._log, self._scratch = (scratch / f"{entry.name.replace(' ', '_')}.log").open("w+"), scratch
        self._process = subprocess.Popen(
            entry.command, cwd=ROOT, env=os.environ | entry.environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
        )  # fmt: skip
        with suppress(Unable):  # it is told why at the first batch
            self._ask("ready")  # one after another: an import takes the cores of all

    def bind(self, inputs: Path, batch: int) -> float:
        """See `Contender`."""
        return float(self._ask("bind", str(inputs), batch))

    def answers(self) -> Mapping[str, Any]:
        """See `Contender`."""
        with tempfile.TemporaryDirectory(dir=self._scratch) as place:
            self._ask("answers", f"{place}/answers.npz")
            with np.load(f"{place}/answers.npz") as found:
                return dict(found)

    def run(self, calls: int) -> Window:
        """See `Contender`."""
        return Window(latencies_s=tuple(self._ask("run", calls)))

    def close(self) -> None:
        """End it."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with suppress(BrokenPipeError):
                    pipe.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _ask(self, *question: object) -> Any:
        assert self._process.stdin  # it was asked for
        assert self._process.stdout  # as before
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        said = json.loads(line) if line else {"error": self._last_words()}
        if "error" in said:
            raise Unable(first_line(said["error"]))
        return said["answer"]

    def _last_words(self) -> str:
        if (code := self._process.wait()) < 0:
            return f"it was killed by signal {-code}" + (", as if memory ran out" if code == -signal.SIGKILL else "")
        self._log.seek(0)
        lines = [line.strip() for line in self._log if line.strip()]
        return lines[-1] if lines else f"it ended with code {code}"


def first_line(text: str, limit: int = 160) -> str:
    """Return the first line of an error that says something, cut to a table's cell."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "no reason given")
    return line if len(line) <= limit else line[: limit - 3] + "..."


@contextmanager
def started(entries: Sequence[Entry], scratch: Path) -> Iterator[dict[str, Process]]:
    """Start contenders, one after another; all have imported their runtimes before anything is measured."""
    processes = dict[str, Process]()
    try:
        for entry in entries:
            processes[entry.name] = Process(entry, scratch)
        yield processes
    finally:
        for process in processes.values():
            process.close()


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a contender fared at one batch size; `ratio` is to the first contender's throughput.

    `steady` says whether its windows agreed within 10 %, `deviation` how far its answers are from the first's.
    """

    throughput_per_s: float
    ratio: Ratio
    deviation: float
    steady: bool


def compete(
    contenders: Mapping[str, Contender], inputs: Path, batch: int, *, rounds: int, window_s: float = WINDOW_S
) -> dict[str, Result | Unable]:
    """Run all in turn, a window each a round, against the first; who cannot take the batch is left out with its reason.

    The first call and the first round warm up and count nothing. Raises `Unable` where the first cannot.
    """
    race = _Race(contenders, window_s=window_s)
    race.each(lambda contender: contender.bind(inputs, batch))
    answers = race.each(lambda contender: contender.answers())
    for _ in range(2):
        race.round()
    played = [race.round() for _ in range(rounds)]
    results: dict[str, Result | Unable] = dict(race.out)
    for name in race.names:
        windows = [each[name] for each in played]
        results[name] = Result(
            throughput_per_s=throughput_per_s(windows, batch),
            ratio=throughput_ratio([(each[race.first], each[name]) for each in played]),
            deviation=deviation(answers[race.first], answers[name]),
            steady=agree(windows),
        )
    return {name: results[name] for name in contenders}


class _Race:
    """Contenders that take turns; one that fails is out, with its reason, and the others go on."""

    def __init__(self, contenders: Mapping[str, Contender], *, window_s: float) -> None:
        self._contenders, self._window_s = contenders, window_s
        self._calls = dict.fromkeys(contenders, 1)
        self.first = next(iter(contenders))
        self.out = dict[str, Unable]()

    @property
    def names(self) -> list[str]:
        """Return those that are not out."""
        return [name for name in self._contenders if name not in self.out]

    def each(self, do: Callable[[Contender], Done]) -> dict[str, Done]:
        """Have each do something; raises `Unable` where the first cannot."""
        return self._each(lambda _, contender: do(contender))

    def round(self) -> dict[str, Window]:
        """Have each run a window: one call at first, then as many as fill it by what they took the last time."""
        windows = self._each(lambda name, contender: contender.run(self._calls[name]))
        self._calls |= {name: max(1, ceil(self._window_s / window.call_s)) for name, window in windows.items()}
        return windows

    def _each(self, do: Callable[[str, Contender], Done]) -> dict[str, Done]:
        done = dict[str, Done]()
        for name in self.names:
            try:
                done[name] = do(name, self._contenders[name])
            except Unable as error:  # noqa: PERF203 - one of some ten
                self.out[name] = error
        if self.first in self.out:
            raise self.out[self.first]
        return done


def deviation(expected: Mapping[str, Any], actual: Mapping[str, Any]) -> float:
    """Return the largest difference of any output, relative to its scale; infinite for NaN, another shape or name."""
    if expected.keys() != actual.keys():
        return float("inf")
    return max(_relative(np.asarray(expected[name]), np.asarray(actual[name])) for name in expected)


def _relative(expected: Any, actual: Any) -> float:
    if expected.shape != actual.shape:
        return float("inf")
    scale = float(np.abs(expected).max(initial=0)) or 1.0
    far = float(np.abs(expected.astype(np.float64) - actual.astype(np.float64)).max(initial=0)) / scale
    return far if isfinite(far) else float("inf")  # else `max` may drop a NaN


def entry(name: str, kind: str, model: Path, *options: str, python: str = sys.executable, **environment: str) -> Entry:
    """Return the entry of a contender that `tests.bench.contender` knows."""
    command = (python, "-W", "ignore", "-m", "tests.bench.contender", kind, str(model), *options)
    return Entry(name=name, command=command, environment={"TF_CPP_MIN_LOG_LEVEL": "3", **environment})
