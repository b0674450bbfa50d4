import random
from collections import Counter

import pytest

from job.records import Artifact, Format, StoredObject
from job.sharding import share_of

MIB = 2**20
SIZES = (5e6, 20e6, 100e6, 100e6, 250e6, 500e6, 1.3e9)
"""Of a MobileNet to a BERT."""


def _drawn(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - it draws models and keeps no secret


def _artifact(name: str, *, size_bytes: float = 1e8, modified_s: float = 0) -> Artifact:
    stored = StoredObject(key=name, size_bytes=int(size_bytes), modified_s=modified_s)
    return Artifact(name=name, format=Format.GRAPH_DEF, entry=name, objects=(stored,))


def _models(count: int, seed: int, *, since_s: float = 0) -> list[Artifact]:
    """Return models that came one after another, of sizes and under names that the seed draws."""
    draw = _drawn(seed)
    return [
        _artifact(f"{draw.random()}/frozen.pb", size_bytes=draw.choice(SIZES), modified_s=since_s + when)
        for when in range(count)
    ]


def _shares(artifacts: list[Artifact], count: int) -> dict[str, int]:
    """Return each artifact's share, as the shares themselves see it."""
    shuffled = _drawn(0).sample(artifacts, len(artifacts))
    return {one.name: index for index in range(count) for one in share_of(shuffled, index=index, count=count)}


def _loads(artifacts: list[Artifact], count: int) -> list[int]:
    shares, loads = _shares(artifacts, count), [0] * count
    for one in artifacts:
        loads[shares[one.name]] += one.size_bytes + 32 * MIB
    return loads


@pytest.mark.parametrize("count", [1, 2, 3, 7, 40])
def test_every_artifact_is_in_exactly_one_share(count: int) -> None:
    """The shares of any count together are all artifacts, none twice, each share in the order of the listing."""
    artifacts = _models(200, seed=count)
    shares = [share_of(artifacts, index=index, count=count) for index in range(count)]
    assert Counter(one.name for share in shares for one in share) == Counter(one.name for one in artifacts)
    order = [one.name for one in artifacts]
    assert all(sorted(share, key=lambda one: order.index(one.name)) == list(share) for share in shares)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("there", "come"), [(40, 1), (40, 40), (200, 2), (200, 20)])
def test_what_comes_later_moves_nothing(there: int, come: int, seed: int) -> None:
    """Shares that list before and after an addition agree on all the rest, so that none is taken by nobody."""
    artifacts = _models(there, seed)
    before = _shares(artifacts, 8)
    after = _shares([*artifacts, *_models(come, seed + 100, since_s=there)], 8)
    assert before.items() <= after.items()
    assert len(after) == there + come


@pytest.mark.parametrize("seed", range(3))
def test_few_move_when_some_go(seed: int) -> None:
    """Of 1,000 artifacts fewer than a fifth move when one in a hundred is deleted."""
    artifacts = _models(1000, seed)
    before, after = _shares(artifacts, 8), _shares(_drawn(seed).sample(artifacts, 990), 8)
    assert sum(before[name] != share for name, share in after.items()) < 200


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("there", [9, 40, 200, 1000])
def test_no_share_has_much_more_work_than_another(there: int, seed: int) -> None:
    """The largest share holds at most a tenth more than the mean, or the mean and one artifact."""
    artifacts = _models(there, seed)
    loads = _loads(artifacts, 8)
    mean = sum(loads) / 8
    assert max(loads) <= max(1.1 * mean, mean + 1.3e9 + 32 * MIB)


def test_balance_is_by_bytes_and_not_by_number() -> None:
    """Beside one large model lie no small ones as long as another share has room."""
    artifacts = [_artifact("large", size_bytes=1e9), *(_artifact(f"small{n}", modified_s=1) for n in range(7))]
    (alone,) = [share for index in range(2) for share in [share_of(artifacts, index=index, count=2)] if len(share) < 3]
    assert [one.name for one in alone] == ["large"]


def test_share_behind_the_last_is_empty() -> None:
    """A pod too many finds nothing to do; that is no error."""
    assert share_of(_models(20, seed=0), index=7, count=5) == ()


def test_shares_of_equal_artifacts_are_equal() -> None:
    """800 equal artifacts of one moment, as a store without times has them, are dealt out to a tenth."""
    artifacts = [_artifact(f"case{n}/frozen.pb") for n in range(800)]
    sizes = [len(share_of(artifacts, index=index, count=8)) for index in range(8)]
    assert max(sizes) <= 110


def test_share_is_the_same_on_every_machine() -> None:
    """A name picks its shares by SHA-256: Python's own hash would differ between processes."""
    artifacts = [_artifact(f"case{n}/frozen.pb", modified_s=n) for n in range(40)]
    shares = _shares(artifacts, 3)
    assert [shares[one.name] for one in artifacts[28:]] == [2, 1, 0, 2, 2, 0, 0, 1, 1, 0, 1, 0]
