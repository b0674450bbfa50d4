import numpy as np
import pytest

from job.engine.samples.making import Sample
from job.engine.samples.mending import mend

SAMPLE = Sample(name="normal [2, 4] [2, 4]", feeds=(np.ones((2, 4)), np.full((2, 4), 2.0)))


def test_either_input_may_grow_to_the_shape_that_was_named() -> None:
    """Two inputs of one shape that must differ: each is tried in the other shape, once."""
    mended = mend(SAMPLE, "Incompatible shapes: [2,12] vs. [2,4]")
    assert [[feed.shape for feed in one.feeds] for one in mended] == [[(2, 12), (2, 4)], [(2, 4), (2, 12)]]
    assert all(one.is_mended for one in mended)
    assert {one.feeds[1].max() for one in mended} == {2.0}


@pytest.mark.parametrize(
    "refusal",
    [
        "Table not initialized.",
        "Incompatible shapes: [3,3] vs. [5,5]",
        "Incompatible shapes: [2,4] vs. [2,4,1]",
        "Incompatible shapes: [2,4] vs. [2,0]",
        "indices[0] = [0,1] is out of bounds: need 0 <= index < [2,4]",
    ],
)
def test_other_refusals_are_left_alone(refusal: str) -> None:
    """A refusal that names no other shape of an input, or one of another rank, mends nothing."""
    assert mend(SAMPLE, refusal) == []
