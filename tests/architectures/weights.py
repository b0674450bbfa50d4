"""Values for every variable by its name alone, so that originals need not store their weights.

Read by Python 3.7 with TensorFlow 1.15.5, which makes the originals, and by the tests; plain NumPy.
"""

from __future__ import annotations  # Python 3.7 runs this

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

SPREADS = {"gamma": (0.7, 1.3), "variance": (0.5, 1.5), "mean": (-0.2, 0.2), "beta": (-0.2, 0.2), "bias": (-0.1, 0.1)}
"""The range of a vector by what it is: batch norm that is left out, or in training mode, must show."""


def value_of(name: str, shape: Sequence[int]) -> Any:
    """Return a variable's float32 values: He's normal for kernels (He et al. 2015), a uniform range for vectors."""
    random = np.random.RandomState(zlib.crc32(name.encode()))
    if len(shape) > 1:
        fan_in = int(np.prod(shape[:2] if "depthwise_weights" in name else shape[:-1]))
        gain = 1.0 if "project/weights" in name else 2.0  # MobileNet v2 puts no activation behind its projections
        return (random.standard_normal(shape) * np.sqrt(gain / fan_in)).astype(np.float32)
    low, high = SPREADS[_role(name)]
    return random.uniform(low, high, shape).astype(np.float32)


def images_of(count: int, pixels: int, seed: int = 0) -> Any:
    """Return images as a preprocessed batch, ``[count, pixels, pixels, 3]``, float32."""
    return np.random.RandomState(seed).standard_normal((count, pixels, pixels, 3)).astype(np.float32)


def _role(name: str) -> str:
    """Tell what a vector is by the words in its name; what is none of these is a bias."""
    words = name.lower().replace("/", "_").split("_")
    return next((role for role in ("variance", "mean", "gamma", "beta") if role in words), "bias")
