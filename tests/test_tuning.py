import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from job.errors import Poison
from job.records import Format
from job.requests import RaceRequest, SourceRequest, VerifyRequest
from job.results import (
    MadeVariant,
    MadeVariants,
    OutputParity,
    ParityResult,
    RaceLap,
    RaceResult,
    Runner,
    TuningResult,
)
from job.tuning import FAITHFUL, Search, gain, search, wins
from tests.fakes import put, run_here, use_fake_stages

SOURCE = SourceRequest(format=Format.GRAPH_DEF, directory="in", entry="a.pb")
PLAIN = MadeVariant(name="plain", precision="exact", changes=("folded",))
BOLD = MadeVariant(name="bold", precision="reduced", changes=("16 bits",))


def lap(ratio: float, margin: float = 0.05, batch_size: int = 1) -> RaceLap:
    return RaceLap(batch_size=batch_size, ratio=ratio, low=ratio - margin, high=ratio + margin)


def searched(tmp_path: Path) -> Search:
    return Search(
        source=SOURCE,
        saved_model=tmp_path / "saved_model",
        fast=tmp_path / "fast",
        scratch=tmp_path / "variants",
        proof=VerifyRequest(source=SOURCE, saved_model="", mode="as_run", tolerance=1e-5),
        precision="reduced",
        budget_s=60,
    )


class Stages:
    """Makes what it is told to, lets runners win by what it is told, and finds those wrong that are named."""

    def __init__(self, tmp_path: Path, ratios: dict[str, tuple[RaceLap, ...]], wrong: tuple[str, ...] = ()) -> None:
        self.tmp_path, self.ratios, self.wrong = tmp_path, ratios, wrong
        self.made: tuple[MadeVariant, ...] = (PLAIN, BOLD)
        self.asked: list[Any] = []

    def __call__(self, mode: str, stage: str, request: Any, _kind: Callable[..., Any]) -> Any:
        """Run a stage."""
        self.asked.append((mode, stage, request))
        if stage == "make_variants":
            for one in self.made:
                (self.tmp_path / "variants" / one.name).mkdir(parents=True)
            return MadeVariants(variants=self.made)
        if stage == "race":
            return RaceResult(
                runners=tuple(
                    Runner(name=name, laps=laps) for name, laps in self.ratios.items() if name in request.saved_models
                )
            )
        name = Path(request.saved_model).name
        if name in self.wrong:
            return ParityResult(mode=request.mode, verdict="failed", reason=f"{name} is 0.02 off")
        return ParityResult(mode=request.mode, verdict="passed")


def verdicts(found: TuningResult) -> dict[str, str]:
    return {one.name: one.verdict for one in found.variants}


def test_the_fastest_that_holds_its_class_is_published(tmp_path: Path) -> None:
    """It is proven, moved to where it is published from, and its gains are told."""
    stages = Stages(tmp_path, {"plain": (lap(1.2),), "bold": (lap(1.9),)})
    found = search(searched(tmp_path), stages)
    assert (found.verdict, found.published) == ("published", "bold")
    assert verdicts(found) == {"plain": "slower", "bold": "published"}
    assert found.variants[1].laps == (lap(1.9),)
    assert found.variants[1].changes == ("16 bits",)
    assert (tmp_path / "fast").is_dir()
    race = next(request for _, _, request in stages.asked if isinstance(request, RaceRequest))
    assert list(race.saved_models) == [FAITHFUL, "plain", "bold"]


def test_one_outside_its_class_is_dropped_with_the_number_and_the_next_is_tried(tmp_path: Path) -> None:
    """The second fastest is published then, and no gain is told of the one that is wrong."""
    found = search(searched(tmp_path), Stages(tmp_path, {"plain": (lap(1.2),), "bold": (lap(1.9),)}, wrong=("bold",)))
    assert found.published == "plain"
    bold = found.variants[1]
    assert (bold.verdict, bold.reason, bold.laps) == ("outside_class", "bold is 0.02 off", ())


def test_who_left_behind_one_that_is_out_runs_again(tmp_path: Path) -> None:
    """The race lets go of those that are behind its leader; if that is wrong, they have another one without it."""
    stages = Stages(tmp_path, {"bold": (lap(1.9),)}, wrong=("bold",))

    def stage(mode: str, name: str, request: Any, kind: Callable[..., Any]) -> Any:
        if isinstance(request, RaceRequest) and "bold" not in request.saved_models:
            return RaceResult(runners=(Runner(name="plain", laps=(lap(1.2),)),))
        return stages(mode, name, request, kind)

    found = search(searched(tmp_path), stage)
    assert verdicts(found) == {"plain": "published", "bold": "outside_class"}


def test_an_exact_variant_is_compared_exactly_too(tmp_path: Path) -> None:
    """One of reduced precision is held to its class as users run it, an exact one also without optimisers."""
    stages = Stages(tmp_path, {"plain": (lap(1.2),), "bold": (lap(1.9),)}, wrong=("bold",))
    search(searched(tmp_path), stages)
    asked = [(mode, request.precision) for mode, _, request in stages.asked if isinstance(request, VerifyRequest)]
    assert asked == [("as_run", "reduced"), ("exact", "exact"), ("as_run", "exact")]


def test_what_is_slower_is_not_even_proven(tmp_path: Path) -> None:
    """Nothing is published, no comparison is run, and the reason is told."""
    stages = Stages(tmp_path, {"plain": (lap(0.9),), "bold": (lap(1.02),)})
    found = search(searched(tmp_path), stages)
    assert (found.verdict, found.reason) == ("none_faster", "none is faster beyond its interval")
    assert verdicts(found) == {"plain": "slower", "bold": "slower"}
    assert [stage for _, stage, _ in stages.asked] == ["make_variants", "race"]
    assert not (tmp_path / "fast").exists()


def test_a_worker_that_a_variant_ends_costs_that_variant(tmp_path: Path) -> None:
    """A graph that brings its worker down when it is compared is out, and the next one is tried."""
    stages = Stages(tmp_path, {"plain": (lap(1.2),), "bold": (lap(1.9),)})

    def stage(mode: str, name: str, request: Any, kind: Callable[..., Any]) -> Any:
        if isinstance(request, VerifyRequest) and Path(request.saved_model).name == "bold":
            raise Poison("out of memory in the verify stage")
        return stages(mode, name, request, kind)

    found = search(searched(tmp_path), stage)
    assert found.published == "plain"
    assert found.variants[1].reason == "out of memory in the verify stage"


def test_an_exact_variant_may_be_as_far_off_as_run_as_tensorflow_makes_the_faithful_model(tmp_path: Path) -> None:
    """Twice that where it is more than the tolerance, which alone holds without optimisers."""
    for as_run, tolerance in ((1e-6, 1e-5), (4e-3, 8e-3)):
        stages = Stages(tmp_path / str(as_run), {"plain": (lap(1.2),)})
        search(replace(searched(tmp_path / str(as_run)), as_run=as_run), stages)
        asked = [request.tolerance for _, _, request in stages.asked if isinstance(request, VerifyRequest)]
        assert asked == [1e-5, tolerance]


def test_a_reduced_variant_has_no_more_than_its_class(tmp_path: Path) -> None:
    """What TensorFlow makes of the faithful model as run widens the tolerance of exact variants alone."""
    stages = Stages(tmp_path, {"bold": (lap(1.9),)})
    search(replace(searched(tmp_path), as_run=9e-3), stages)
    assert [request.tolerance for _, _, request in stages.asked if isinstance(request, VerifyRequest)] == [1e-5]


def test_a_variant_that_only_runs_with_onednn_is_proven_with_it(tmp_path: Path) -> None:
    """Where the device has no kernel without oneDNN, the comparison that both sides ran with it is what counts."""
    stages = Stages(tmp_path, {"plain": (lap(1.2),)})

    def stage(mode: str, name: str, request: Any, kind: Callable[..., Any]) -> Any:
        if not isinstance(request, VerifyRequest):
            return stages(mode, name, request, kind)
        shown = OutputParity(signature="s", output="y", tensor="y:0", dtype="float32", verdict="passed", tolerance=1e-5)
        if mode == "exact":
            return ParityResult(mode="exact", verdict="not_run", outputs=(replace(shown, verdict="not_run"),))
        return ParityResult(mode="as_run", verdict="passed", outputs=(replace(shown, method=method),))

    method: Literal["onednn", "values"] = "onednn"
    assert search(searched(tmp_path), stage).published == "plain"
    method = "values"
    stages.tmp_path = tmp_path / "again"
    found = search(searched(tmp_path / "again"), stage)
    assert (found.verdict, found.variants[0].reason) == ("none_faster", "its answers could not be compared")


def test_a_race_that_ends_its_worker_keeps_what_is_known(tmp_path: Path) -> None:
    """A variant that brings the race down costs the search what came after, and the report says so."""
    stages = Stages(tmp_path, {"bold": (lap(1.9),)}, wrong=("bold",))

    def stage(mode: str, name: str, request: Any, kind: Callable[..., Any]) -> Any:
        if isinstance(request, RaceRequest) and "bold" not in request.saved_models:
            raise Poison("the worker ended in the race stage")
        return stages(mode, name, request, kind)

    found = search(searched(tmp_path), stage)
    assert (found.verdict, found.reason) == (
        "none_faster",
        "the race ended early: the worker ended in the race stage",
    )
    assert verdicts(found)["bold"] == "outside_class"


def test_the_budget_ends_the_search(tmp_path: Path) -> None:
    """Once it is used up nothing more is raced or proven, and what was not tried is called so."""
    ticks = iter((0.0, 61.0))
    late = replace(searched(tmp_path), clock=lambda: next(ticks))
    found = search(late, Stages(tmp_path, {}))
    assert (found.verdict, found.reason) == ("not_run", "making the variants took the whole budget of 60 s")
    ticks = iter((0.0, 1.0, 61.0))
    found = search(
        replace(searched(tmp_path / "b"), clock=lambda: next(ticks)), Stages(tmp_path / "b", {"plain": (lap(1.2),)})
    )
    assert verdicts(found)["plain"] == "not_tried"


def test_a_variant_that_does_not_apply_says_why(tmp_path: Path) -> None:
    """Where none applies there is no race."""
    stages = Stages(tmp_path, {})
    stages.made = (replace(PLAIN, reason="the model keeps state"),)
    found = search(searched(tmp_path), stages)
    assert (found.verdict, found.reason) == ("none_faster", "no variant applies")
    assert found.variants[0].reason == "the model keeps state"


@pytest.mark.parametrize(
    ("laps", "is_winner"),
    [
        ((lap(1.2),), True),
        ((lap(1.04),), False),
        ((lap(1.2), lap(0.9, batch_size=8)), False),
        ((lap(1.2), lap(0.97, batch_size=8)), True),
        ((), False),
    ],
)
def test_a_variant_wins_beyond_its_interval_and_loses_nowhere(laps: tuple[RaceLap, ...], is_winner: bool) -> None:  # noqa: FBT001 - a case's answer
    """It must be faster at some batch size and at none slower, each beyond its interval."""
    assert wins(Runner(name="a", laps=laps)) is is_winner


def test_the_gain_is_the_geometric_mean() -> None:
    """Twice as fast here and half as fast there is no gain."""
    assert gain(Runner(name="a", laps=(lap(2.0), lap(0.5)))) == pytest.approx(1.0)


def test_the_fast_model_is_published_beside_the_faithful_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its parity is in the commit under its name, what did not win is gone, and no other run has it."""
    use_fake_stages(monkeypatch)
    put(tmp_path / "in", "rash.pb", "tired.pb")
    run_here(tmp_path, benchmark="quick")
    (commit,) = (tmp_path / "out" / "rash.pb").rglob("commit.json")
    said = json.loads(commit.read_text())
    assert [one["variant"] for one in said["parity"]] == ["", "", "plain", "plain"]
    models = {str(path.parent.name) for path in (tmp_path / "out").rglob("saved_model.pb")}
    assert models == {"saved_model", "saved_model_fast"}
    assert not list((tmp_path / "out" / "tired.pb").rglob("saved_model_fast"))


def test_nothing_is_searched_without_a_benchmark_or_a_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report says which of the two settings it was."""
    use_fake_stages(monkeypatch)
    put(tmp_path / "in", "a.pb")
    (report,) = run_here(tmp_path).reports
    assert report.tuning == TuningResult(verdict="not_run", reason="--benchmark off")
    (report,) = run_here(tmp_path, benchmark="quick", tune_budget=0).reports
    assert report.tuning == TuningResult(verdict="not_run", reason="--tune-budget 0")
