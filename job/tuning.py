"""The search for a faster SavedModel: make the variants, race them, and prove the fastest first.

What a variant may change is bounded by ``--precision``, what the search may cost by ``--tune-budget``. Only the
one that is published has to be proven: what it leaves behind is slower, and whether it is right does not matter.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import structlog

from job.errors import JobError
from job.gate import proven
from job.requests import MakeVariantsRequest, RaceRequest, SourceRequest, VerifyRequest
from job.results import (
    MadeVariant,
    MadeVariants,
    ParityResult,
    Precision,
    RaceResult,
    Runner,
    TuningResult,
    VariantResult,
)
from job.worker_environment import Mode

log = structlog.get_logger()

Result = TypeVar("Result")

FAITHFUL: Final = "faithful"
"""What the unchanged SavedModel is called in the race."""

RACE_SHARE: Final = 0.6
"""Of the budget that is left once the variants are made; the rest is for proving the fastest."""

LEEWAY: Final = 2.0
"""How much further from the TF1 graph's exact answers than the faithful model a variant may be, both as run."""

MODES: Final[dict[Precision, tuple[Mode, ...]]] = {"exact": ("exact", "as_run"), "reduced": ("as_run",)}
"""How a variant is compared: one of reduced precision has its kernels only as its users run it."""


class RunStage(Protocol):
    """Runs a stage in a worker; see `job.stage_runs`."""

    def __call__(self, mode: Mode, stage: str, request: object, kind: type[Result], /) -> Result:
        """Return the stage's result."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """What is searched: the faithful model, how its answers are held to the TF1 graph's, and at what cost.

    Variants are made below `scratch`, and the one that wins is moved to `fast`. `as_run` is the faithful model's
    largest relative error as its users run it.
    """

    source: SourceRequest
    saved_model: Path
    fast: Path
    scratch: Path
    proof: VerifyRequest
    precision: Precision
    budget_s: float
    as_run: float = 0.0
    clock: Callable[[], float] = field(default=time.monotonic)


def search(wanted: Search, stage: RunStage) -> TuningResult:
    """Publish the fastest variant that holds its class, where one beats the faithful model by more than its interval.

    Raises what a stage raises; a variant that fails where it is proven is out, and the next one is tried.
    """
    end_s = wanted.clock() + wanted.budget_s
    made = _made(wanted, stage)
    if all(one.reason for one in made):
        return TuningResult(verdict="none_faster", reason="no variant applies", variants=tuple(map(_not_made, made)))
    if wanted.clock() > end_s:
        reason = f"making the variants took the whole budget of {wanted.budget_s:g} s"
        return TuningResult(verdict="not_run", reason=reason, variants=tuple(map(_not_made, made)))
    return _told(wanted, made, _heats(wanted, stage, made, end_s))


@dataclass(kw_only=True)
class _Heats:
    """How variants fared in the last heat that they ran in, what became of those that were proven, why none ran."""

    raced: dict[str, Runner] = field(default_factory=dict)
    tried: dict[str, VariantResult] = field(default_factory=dict)
    reason: str = ""

    @property
    def winner(self) -> VariantResult | None:
        """Return the variant to publish."""
        return next((one for one in self.tried.values() if one.verdict == "published"), None)


def _heats(wanted: Search, stage: RunStage, made: tuple[MadeVariant, ...], end_s: float) -> _Heats:
    """Race and prove; where the fastest are out, race those again that had left behind them."""
    heats, runners = _Heats(), [one for one in made if not one.reason]
    while runners and not heats.winner and wanted.clock() <= end_s:
        try:
            race = _race(wanted, stage, runners, RACE_SHARE * (end_s - wanted.clock()))
        except JobError as error:  # what is known of the others stays known
            heats.reason = f"the race ended early: {error}"
            break
        found = {one.name: one for one in _tried(wanted, stage, _ranking(race), made, end_s)}
        heats.raced |= {one.name: one for one in race.runners}
        heats.tried |= found
        heats.reason = race.reason
        runners = [one for one in runners if one.name not in found] if found else []
    return heats


def _told(wanted: Search, made: tuple[MadeVariant, ...], heats: _Heats) -> TuningResult:
    winner = heats.winner
    if winner is not None:
        (wanted.scratch / winner.name).rename(wanted.fast)
    return TuningResult(
        verdict="published" if winner else "none_faster",
        published=winner.name if winner else "",
        reason="" if winner else heats.reason or _why_none(heats.tried),
        variants=tuple(
            heats.tried.get(one.name) or _left_behind(one, heats.raced.get(one.name), winner) for one in made
        ),
    )


def gain(runner: Runner) -> float:
    """Return the geometric mean of a variant's gains over the batch sizes."""
    return prod(lap.ratio for lap in runner.laps) ** (1 / max(len(runner.laps), 1))


def wins(runner: Runner) -> bool:
    """Tell whether a variant is faster beyond its interval at some batch size, and at none slower beyond it."""
    return any(lap.low > 1 for lap in runner.laps) and not any(lap.high < 1 for lap in runner.laps)


def _made(wanted: Search, stage: RunStage) -> tuple[MadeVariant, ...]:
    request = MakeVariantsRequest(
        saved_model=str(wanted.saved_model),
        directory=str(wanted.scratch),
        precision=wanted.precision,
        device=wanted.proof.device,
        options=wanted.source.options,
    )
    return stage("as_run", "make_variants", request, MadeVariants).variants


def _race(wanted: Search, stage: RunStage, runners: list[MadeVariant], budget_s: float) -> RaceResult:
    saved_models = {FAITHFUL: str(wanted.saved_model)}
    saved_models |= {one.name: str(wanted.scratch / one.name) for one in runners}
    request = RaceRequest(
        source=wanted.source,
        saved_models=saved_models,
        budget_s=budget_s,
        device=wanted.proof.device,
        seed=wanted.proof.seed,
    )
    return stage("as_run", "race", request, RaceResult)


def _ranking(race: RaceResult) -> list[Runner]:
    """Return the variants that beat the faithful model, the fastest first."""
    return sorted(filter(wins, race.runners), key=gain, reverse=True)


def _tried(
    wanted: Search, stage: RunStage, ranking: list[Runner], made: tuple[MadeVariant, ...], end_s: float
) -> Iterator[VariantResult]:
    """Prove variant after variant, until one passes or the time is over."""
    by_name = {one.name: one for one in made}
    for runner in ranking:
        if wanted.clock() > end_s:
            reason = f"the budget of {wanted.budget_s:g} s was used up before it could be proven"
            yield replace(_result(by_name[runner.name], "not_tried"), reason=reason)
            continue
        proven = _proven(wanted, stage, by_name[runner.name])
        if proven.verdict == "published":
            yield replace(proven, laps=runner.laps)
            return
        log.info("variant_dropped", variant=runner.name, reason=proven.reason)
        yield proven


def _proven(wanted: Search, stage: RunStage, made: MadeVariant) -> VariantResult:
    """Hold a variant to its class: published if every comparison passes, else outside of it, with the number."""
    found = list[ParityResult]()
    for mode in MODES[made.precision]:
        request = replace(
            wanted.proof,
            saved_model=str(wanted.scratch / made.name),
            mode=mode,
            precision=made.precision,
            tolerance=_tolerance(wanted, mode, made.precision),
        )
        try:
            parity = stage(mode, "verify", request, ParityResult)
        except JobError as error:  # what its graph does to a worker costs itself alone
            return replace(_result(made, "outside_class"), reason=str(error), parity=tuple(found))
        found.append(parity)
        if parity.verdict == "failed":
            break
    judged = _judged(found)
    if judged.verdict != "passed":
        reason = judged.reason or "its answers could not be compared"
        return replace(_result(made, "outside_class"), reason=reason, parity=tuple(found))
    return replace(_result(made, "published"), parity=tuple(found))


def _tolerance(wanted: Search, mode: Mode, precision: Precision) -> float:
    """Return the conversion's tolerance; an exact variant's as run is at least twice the faithful model's own error.

    One of reduced precision has its class's, whatever TensorFlow makes of the faithful model.
    """
    own = wanted.proof.tolerance
    return max(own, LEEWAY * wanted.as_run) if mode == "as_run" and precision == "exact" else own


def _judged(found: list[ParityResult]) -> ParityResult:
    """Return what counts: as run, whole numbers tip over by rounding alone, and the exact comparison judges those."""
    return found[-1] if len(found) == 1 or found[-1].verdict == "failed" else proven(*found)


def _result(made: MadeVariant, verdict: Any) -> VariantResult:
    return VariantResult(name=made.name, precision=made.precision, verdict=verdict, changes=made.changes)


def _not_made(made: MadeVariant) -> VariantResult:
    return replace(_result(made, "not_made" if made.reason else "not_tried"), reason=made.reason)


def _left_behind(made: MadeVariant, runner: Runner | None, winner: VariantResult | None) -> VariantResult:
    """Say why a variant was not even tried; of one that is not proven no gain is told."""
    if made.reason or runner is None:
        return _not_made(made)
    if runner.reason and not runner.laps:
        return replace(_result(made, "not_tried"), reason=runner.reason)
    if winner is not None and wins(runner):  # by how much is not told of what is not proven
        return replace(_result(made, "slower"), reason=f"slower than {winner.name}")
    return replace(_result(made, "slower"), reason=runner.reason or "not faster than the faithful model")


def _why_none(tried: dict[str, VariantResult]) -> str:
    if not tried:
        return "none is faster beyond its interval"
    return f"{', '.join(tried)} {'is' if len(tried) == 1 else 'are'} not right, or not proven"
