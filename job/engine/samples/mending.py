"""Samples whose shapes the baseline refused, made to fit what it said: labels may be thrice the image."""

import re
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from job.engine.samples.making import Sample

Array = NDArray[Any]

SHAPES: Final = re.compile(r"\[([\d,]*)\]")
"""How TensorFlow writes shapes: ``Incompatible shapes: [4,192,192,1] vs. [4,64,64,1]``."""


def mend(sample: Sample, refusal: str) -> list[Sample]:
    """Return the sample with an input in the other shape of the two that a refusal names; none for other refusals."""
    said = [tuple(map(int, text.split(","))) if text else () for text in SHAPES.findall(refusal)]
    if len(said) != 2 or "shape" not in refusal.lower():
        return []
    return [
        _reshaped(sample, place, new)
        for old, new in (said, said[::-1])
        for place, feed in enumerate(sample.feeds)
        if feed.shape == old and len(old) == len(new) and _can_grow(feed, new)
    ]


def _reshaped(sample: Sample, place: int, shape: tuple[int, ...]) -> Sample:
    feeds = (*sample.feeds[:place], np.resize(sample.feeds[place], shape), *sample.feeds[place + 1 :])
    shapes = ", ".join(str(list(feed.shape)) for feed in feeds)
    return Sample(name=f"{sample.name.split(' ')[0]} {shapes} mended", feeds=feeds, is_mended=True)


def _can_grow(feed: Array, shape: tuple[int, ...]) -> bool:
    """Whether an input can be repeated to another shape: it holds something, and so shall the result."""
    return bool(feed.size) and 0 not in shape
