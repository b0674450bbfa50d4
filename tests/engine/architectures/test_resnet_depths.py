import re

import pytest

from job.engine.architectures import reading
from job.engine.architectures.inventory import take
from job.engine.architectures.resnet_depths import DEPTHS, blocks_of, own_depth, units_of
from job.errors import Incomplete
from tests.architectures import originals

BLOCKS = {
    "slim_v1_50": "/block4/unit_3/",
    "slim_v2_101": "/block3/unit_10/",
    "tensorpack_18": "group1/block1/",
    "tensorpack_50": "group3/block2/",
    "nvidia_2019_50": "/btlnck_block_3_2/",
    "nvidia_2020_50": "/btlnck_block_1_2/",
    "keras_v1_50": "conv4_block6_",
    "keras_old_50": "5c_branch",
    "benchmarks_v1_50": "/resnet_v115/",
}
"""Of each way of naming a block that a network of its kind would also be one without."""


@pytest.mark.parametrize("name", BLOCKS)
def test_a_lost_block_is_missed(name: str) -> None:
    """A checkpoint without all tensors of one block is incomplete, though they would fit a network of fewer blocks."""
    variables = originals.case(name).variables
    rest = {key: shape for key, shape in variables.items() if BLOCKS[name] not in key}
    lost = len(variables) - len(rest)
    assert lost
    with pytest.raises(Incomplete, match=rf"of no architecture that is known: .*but {lost} missing"):
        reading.recognise(take(rest), "x.ckpt")


@pytest.mark.parametrize("units", DEPTHS.values())
def test_every_published_depth_is_its_own(units: tuple[int, ...]) -> None:
    """As many blocks as the table has in each group are counted as such."""
    weights = {f"group{group}/block{block}/w": (1,) for group in range(4) for block in range(units[group])}
    assert units_of(blocks_of(take(weights), r"group(\d)/block(\d+)/")) == units


def test_without_blocks_it_is_a_resnet_50() -> None:
    """Errors name what people have most."""
    assert units_of(()) == DEPTHS[50]


@pytest.mark.parametrize("name", ["slim_v1_50", "slim_v2_50", "keras_v1_50", "tensorpack_50", "nvidia_2020_50"])
def test_a_network_of_its_own_depth_is_known_and_said(name: str) -> None:
    """One block in each group is no published ResNet, nor a damaged one: names tell blocks, a warning strides."""
    later = re.compile(r"unit_[2-9]|conv\d_block[2-9]_|group\d/block[1-9]/|btlnck_block_\d_[1-9]")
    variables = originals.case(name).variables
    proposal = reading.recognise(take({key: shape for key, shape in variables.items() if not later.search(key)}), "x")
    assert any("1, 1, 1, 1 blocks" in assumption for assumption in proposal.assumptions)


def test_published_depths_need_no_assumption() -> None:
    """What the table has is told by names alone."""
    assert [own_depth(units) for units in DEPTHS.values()] == [()] * len(DEPTHS)
    assert own_depth((1, 1, 1, 1))


def test_a_gap_among_blocks_is_a_loss() -> None:
    """Blocks whose numbers skip one are taken for the nearest published network, which then misses some."""
    weights = {f"group{group}/block{block}/w": (1,) for group in range(4) for block in (0, 2)}
    assert units_of(blocks_of(take(weights), r"group(\d)/block(\d+)/")) in DEPTHS.values()
