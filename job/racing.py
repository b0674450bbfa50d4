"""A race among variants: who cannot win any more leaves, so that the time goes to those who may; NumPy only."""

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Final

import numpy as np

from job.latency import WALL, Call, Round, Timing, Window, calls_to_fill
from job.results import RaceLap, Runner

WARM_UP: Final = 2
"""The first rounds at each batch size, which do not count."""

LEAST_ROUNDS: Final = 5
"""Nobody leaves, or wins, on fewer rounds that count."""

TURNS: Final = 25
"""How many windows of each runner a budget is cut into, were all to run to its end."""

MISTAKEN: Final = 0.05
"""How often an interval may miss the truth."""

MOST_ALIKE: Final = 0.95
"""The highest correlation between a round and the next that is believed: with more, hardly anything would be known."""

CAUTION: Final = 0.5
"""Of 200 simulated races between two equals that drift (r = 0.7) 20 had a winner with 0, 10 with this."""

LEAST_FREEDOM: Final = 0.5
"""What rounds are worth that are all alike: next to nothing."""

FURTHEST: Final = 10.0
"""How far an interval reaches at most, as a logarithm: beyond, nothing is known, and `exp` ends somewhere."""

Courses = Mapping[int, Mapping[str, Call]]
"""What runs one batch, by batch size and runner; the runners are the same at all sizes."""


class GaveUpError(Exception):
    """A runner's call failed; the text says how."""


class Race:
    """Rounds of windows at every batch size in turn, of all who may still win.

    The first runner is what the others are compared to, and stays. Another one leaves when the upper
    bound of its ratio is below 1 at a batch size, or when it is behind the leader of the others: when the upper
    bound of its ratio to that one, in the geometric mean over the batch sizes, is below 1. Nobody leads who seems
    slower than the first at a batch size: who cannot win drives nobody out.

    Who leaves as behind, or as slower everywhere, does so by an interval of its own. The laps that are told hold at
    95 % all together: among many variants chance alone favours one. Each round has its own order, drawn by `seed`:
    in one that is fixed, who runs first always follows the same.
    """

    def __init__(self, courses: Courses, timing: Timing = WALL, *, seed: int = 0) -> None:
        self._courses, self._timing = courses, timing
        self._rng = np.random.default_rng(seed)
        self._first, *others = next(iter(courses.values()))
        self._running, self._laps = others, max(len(others), 1) * len(courses)
        self._rounds: dict[int, list[Round]] = {size: [] for size in courses}
        self.reasons: dict[str, str] = {}
        self._failed = set[str]()

    def run(self, budget_s: float) -> None:
        """Race until somebody has won, nobody can, or `budget_s` has passed; one lap over it at most."""
        window_s = budget_s / (TURNS * len(self._courses) * (len(self._running) + 1))
        end_s = self._timing.clock() + budget_s
        while self._timing.clock() < end_s and not self._is_decided():
            for size in self._courses:
                self._run_round(size, window_s)
            self._part()

    def runner(self, name: str, first_call_ms: float) -> Runner:
        """Return how one fared; without laps where it failed, or left before enough rounds."""
        sizes = () if name in self._failed else self._courses
        laps = [(size, self._logs(name, self._first, size)) for size in sizes]
        return Runner(
            name=name,
            laps=tuple(
                _lap(size, logs, among=self._laps)
                for size, logs in laps
                if len(logs) >= LEAST_ROUNDS or name == self._first
            ),
            first_call_ms=first_call_ms,
            reason=self.reasons.get(name, ""),
        )

    def _run_round(self, size: int, window_s: float) -> None:
        before = self._rounds[size][-1] if self._rounds[size] else {}
        windows = dict[str, Window]()
        for name in map(str, self._rng.permutation([self._first, *self._running])):
            calls = calls_to_fill(window_s, before[name]) if name in before else 1
            try:
                windows[name] = self._timing.window(self._courses[size][name], calls)
            except GaveUpError as error:
                self._failed.add(name)
                self._leave(name, f"batch {size}: {error}")
        self._rounds[size].append(windows)

    def _leave(self, name: str, reason: str) -> None:
        if name == self._first:
            raise GaveUpError(reason)
        self._running = [one for one in self._running if one != name]
        self.reasons[name] = reason

    def _part(self) -> None:
        """Let those leave who cannot win any more."""
        if not self._running or self._counted() < LEAST_ROUNDS:
            return
        may_lead = [name for name in self._running if not any(lap.high < 1 for lap in self._own_laps(name))]
        leader = max(may_lead, key=lambda name: self._overall(name, self._first).ratio, default="")
        for name in tuple(self._running):
            reason = self._slower(name) or self._behind(name, leader)
            if reason:
                self._leave(name, reason)

    def _slower(self, name: str) -> str:
        """Say where one is slower than the first, if it is; somewhere is enough not to win."""
        if all(lap.high < 1 for lap in self._own_laps(name)):
            return "slower than the faithful model at every batch size"
        told = self._own_laps(name, self._laps)
        slower = next((lap.batch_size for lap in told if lap.high < 1), 0)
        if slower and any(lap.low > 1 for lap in told):
            return "faster at one batch size and slower at another"
        return f"slower than the faithful model at batch {slower}" if slower else ""

    def _behind(self, name: str, leader: str) -> str:
        """Say behind whom one is, if it is."""
        is_behind = leader not in {"", name} and self._overall(name, leader).high < 1
        return f"slower than {leader}" if is_behind else ""

    def _is_decided(self) -> bool:
        """Tell whether nobody is left, or one, and that one beyond its interval."""
        if len(self._running) > 1 or self._counted() < LEAST_ROUNDS:
            return not self._running
        return all(
            any(lap.low > 1 for lap in self._own_laps(name, self._laps))
            and self._overall(name, self._first, self._laps).low > 1
            for name in self._running
        )

    def _counted(self) -> int:
        return min(len(rounds) for rounds in self._rounds.values()) - WARM_UP

    def _own_laps(self, name: str, among: int = 1) -> list[RaceLap]:
        return [_lap(size, self._logs(name, self._first, size), among) for size in self._courses]

    def _overall(self, name: str, other: str, among: int = 1) -> RaceLap:
        """Return the geometric mean over the batch sizes; a round of it has a window at each."""
        logs = [self._logs(name, other, size) for size in self._courses]
        shared = min(len(each) for each in logs)
        return _lap(0, [float(each) for each in np.mean([each[:shared] for each in logs], axis=0)], among)

    def _logs(self, name: str, other: str, size: int) -> list[float]:
        """Return the logarithm of the ratio of speeds in each round that counts and both ran."""
        both = [each for each in self._rounds[size] if name in each and other in each]
        return [math.log(each[other].call_s / each[name].call_s) for each in both[WARM_UP:]]


def _lap(size: int, logs: Sequence[float], among: int) -> RaceLap:
    """Return the mean ratio with the interval of one lap `among` some that shall hold together (Bonferroni).

    The spread of rounds that are alike is less than what is behind them: with all independent, the error is as usual.
    """
    mean = float(np.mean(logs)) if logs else 0.0
    freedom = max(independent(logs) - 1, LEAST_FREEDOM)
    error = float(np.std(logs)) / freedom**0.5 if len(logs) > 1 else 0.0
    reach = min(_t(NormalDist().inv_cdf(1 - MISTAKEN / 2 / among), freedom) * error, FURTHEST)
    low, high = math.exp(mean - reach), math.exp(mean + reach)
    return RaceLap(batch_size=size, ratio=math.exp(mean), low=low, high=high)


def independent(logs: Sequence[float]) -> float:
    """Return how many independent rounds tell as much as these, of which each may be like the one before.

    n (1 - r) / (1 + r) for a correlation r of each with the next, as where speeds drift slowly (first-order
    autoregression); r of few rounds comes out too low, by (1 + 4 r) / n (Kendall 1954). It is taken `CAUTION` of its
    standard error higher than found: too wide an interval is the lesser mistake.
    """
    apart = np.asarray(logs) - np.mean(logs) if logs else np.zeros(0)
    count, spread = len(apart), float(apart @ apart)
    if count < LEAST_ROUNDS or not spread:
        return float(count)
    found = float(apart[1:] @ apart[:-1]) / spread
    expected = (count * found + 1) / (count - 4) + CAUTION * math.sqrt((1 - found**2) / count)
    alike = min(max(expected, 0.0), MOST_ALIKE)
    return count * (1 - alike) / (1 + alike)


def _t(z: float, freedom: float) -> float:
    """Return Student's t for the normal quantile `z`, since rounds are few (Abramowitz and Stegun 26.7.5)."""
    n = max(freedom, 1)
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / n + second / n**2 + third / n**3
