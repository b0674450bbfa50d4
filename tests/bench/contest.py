"""Contenders in processes of their own, run against each other by windows in turn."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from job.latency import Window, agree, throughput_per_s, throughput_ratio
from job.results import Ratio

ROOT: Final = Path(__file__).resolve().parents[2]

WINDOW_S: Final = 0.5
"""How long a window is at least, where a call is shorter."""


Answers = Mapping[str, Any]


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
            self._ask("ready")  # loaded one after another, since loading takes several times a model's memory

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
    """Start contenders, one after another; all have loaded before anything is measured."""
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

    The first round after the first calls warms up and counts nothing. Raises `Unable` where the first cannot.
    """
    results, answers, calls = dict[str, Result | Unable](), dict[str, Answers](), dict[str, int]()
    for name, contender in contenders.items():
        try:
            contender.bind(inputs, batch)
            answers[name] = contender.answers()
            calls[name] = max(1, round(window_s / contender.run(1).call_s))
        except Unable as error:  # noqa: PERF203 - one of some ten
            results[name] = error
    first = next(iter(contenders))
    if isinstance(reason := results.get(first), Unable):
        raise reason
    played = [{name: contenders[name].run(calls[name]) for name in calls} for _ in range(1 + rounds)][1:]
    for name in calls:
        windows = [each[name] for each in played]
        results[name] = Result(
            throughput_per_s=throughput_per_s(windows, batch),
            ratio=throughput_ratio([(each[first], each[name]) for each in played]),
            deviation=deviation(answers[first], answers[name]),
            steady=agree(windows),
        )
    return {name: results[name] for name in contenders}


def deviation(expected: Mapping[str, Any], actual: Mapping[str, Any]) -> float:
    """Return the largest difference of any output, relative to its scale; infinite for another shape or name."""
    if expected.keys() != actual.keys():
        return float("inf")
    return max(_relative(np.asarray(expected[name]), np.asarray(actual[name])) for name in expected)


def _relative(expected: Any, actual: Any) -> float:
    if expected.shape != actual.shape:
        return float("inf")
    scale = float(np.abs(expected).max(initial=0)) or 1.0
    return float(np.abs(expected.astype(np.float64) - actual.astype(np.float64)).max(initial=0)) / scale


def entry(name: str, kind: str, model: Path, *options: str, python: str = sys.executable, **environment: str) -> Entry:
    """Return the entry of a contender that `tests.bench.contender` knows."""
    command = (python, "-W", "ignore", "-m", "tests.bench.contender", kind, str(model), *options)
    return Entry(name=name, command=command, environment={"TF_CPP_MIN_LOG_LEVEL": "3", **environment})
