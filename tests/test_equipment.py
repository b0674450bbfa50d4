from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from job import equipment
from job.equipment import Equipment
from job.memory_cap import GIB
from job.records import DeviceReport, Format
from job.requests import ConvertRequest, SourceRequest, VerifyRequest
from job.workers import Forkserver, Limits
from tests.jobs import environment
from tests.stages import Order, Seen

SOURCE = SourceRequest(format=Format.GRAPH_DEF, directory="d", entry="e")
CONVERT = ConvertRequest(source=SOURCE, saved_model="s")
ON_GPU = VerifyRequest(source=SOURCE, saved_model="s", mode="exact", tolerance=0.0, device="gpu")
CPU = DeviceReport(device="cpu", name="")


class Started:
    """A forkserver that is none, and tells where it was started and whether it was ended."""

    def __init__(
        self, mode: str, scratch: Path, environment: Mapping[str, str], limits: Limits, beside: "Started | None"
    ) -> None:
        self.mode, self.scratch, self.environment, self.limits = mode, scratch, environment, limits
        self.beside = beside
        self.is_closed = False

    def __enter__(self) -> "Started":  # noqa: PYI034 - it is final
        return self

    def __exit__(self, *_: object) -> None:
        self.is_closed = True


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Equipment]:
    """The equipment of a run, with forkservers that are none, in a machine with memory for every lane."""
    monkeypatch.setattr(equipment, "lane_bytes_here", lambda _: 2 * GIB)
    with Equipment(tmp_path, {"CUDA_VISIBLE_DEVICES": "4,5,6,7"}, Limits(), cast("Any", Started)) as begun:
        yield begun


@pytest.mark.parametrize(("wanted", "most", "lanes"), [(None, 9, 3), (1, 9, 1), (5, 9, 5), (5, 2, 2), (None, 0, 1)])
def test_processors_have_as_many_lanes_as_are_wanted_and_of_use(
    begun: Equipment, monkeypatch: pytest.MonkeyPatch, wanted: int | None, most: int, lanes: int
) -> None:
    """The user's number or the machine's, but no more than there are artifacts; each has its part of the memory."""
    monkeypatch.setattr(equipment, "lanes_here", lambda: 3)
    (found,) = begun.lanes(CPU, wanted, most=most)
    with found.turn(CONVERT) as turn:
        assert turn.place.share == 1 / lanes
    sets = [*begun._sets]
    assert len(sets) == lanes
    assert len({(one.scratch, one.mode) for each in sets for one in cast("Any", each).values()}) == 2 * lanes


@pytest.mark.parametrize(
    ("count", "wanted", "most", "names"),
    [
        (4, None, 9, ["4", "5", "6", "7"]),
        (4, 2, 9, ["4", "5"]),
        (4, None, 3, ["4", "5", "6"]),
        (4, 1, 9, ["4"]),
        (1, None, 9, [""]),
    ],
)
def test_every_gpu_has_a_lane_of_its_own(
    begun: Equipment, count: int, wanted: int | None, most: int, names: list[str]
) -> None:
    """Its workers see that GPU alone, under the name that the machine gave it; one for the processors is beside it."""
    found = begun.lanes(DeviceReport(device="gpu", name="G", count=count), wanted, most=most)
    seen = list[str]()
    for lanes in found:
        with lanes.turn(ON_GPU) as turn, lanes.turn(CONVERT) as beside:
            assert turn.forkservers is not beside.forkservers
            assert turn.place.share == 1 / (2 * len(names))
            seen.append(turn.place.gpu)
    assert seen == names


def test_worker_sees_the_gpu_of_its_lane_alone(tmp_path: Path) -> None:
    """CUDA reads the variable when it is first used, which is in the worker."""
    start = partial(Forkserver, stages="tests.stages")
    with Equipment(tmp_path, environment({"CUDA_VISIBLE_DEVICES": "4,5"}), Limits(), start) as begun:
        told = set[str]()
        for lanes in begun.lanes(DeviceReport(device="gpu", name="G", count=2), None, most=9):
            with lanes.turn(ON_GPU) as turn:
                forkserver = turn.forkservers["as_run"]
                seen, _ = forkserver.run("behave", Order(what=""), Seen, timeout_s=30, place=turn.place)
                told.add(seen.environment["CUDA_VISIBLE_DEVICES"])
        assert told == {"4", "5"}


def test_all_forkservers_end_with_the_run(tmp_path: Path) -> None:
    """Those of lanes that were opened later, too."""
    with Equipment(tmp_path, {}, Limits(), cast("Any", Started)) as begun:
        begun.lanes(CPU, 3, most=9)
        started = [one for each in begun._sets for one in cast("Any", each).values()]
        assert not any(one.is_closed for one in started)
    assert all(one.is_closed for one in started)
    assert len(started) == 6


def test_all_lanes_are_forked_from_the_first_ones_zygotes(tmp_path: Path) -> None:
    """TensorFlow is imported twice, once for each mode, however many lanes there are."""
    with Equipment(tmp_path, {}, Limits(), cast("Any", Started)) as begun:
        begun.lanes(CPU, 3, most=9)
        first, *others = cast("Any", begun._sets)
    assert [one.beside for one in first.values()] == [None, None]
    assert all(one.beside is first[mode] for each in others for mode, one in each.items())


def test_downloads_wait_for_benchmarks_where_there_is_one_device(begun: Equipment) -> None:
    """As many artifacts come ahead as are at work at once."""
    lanes = begun.lanes(CPU, 2, most=9)
    assert begun.manners(lanes).beside == lanes[0].transfer
    assert begun.manners(lanes).ahead == 3
    lanes = begun.lanes(DeviceReport(device="gpu", name="G", count=2), None, most=9)
    assert begun.manners(lanes).ahead == 6
