"""How many elements of an output are off by how much: counted by decade of the error relative to the scale."""

from typing import Any, Final

import numpy as np

from job.results import Decade, ErrorHistogram

LOWEST: Final = -20
HIGHEST: Final = 3
"""What is less or more is counted there."""

_CHUNK: Final = 1 << 20  # elements whose logarithms are held at once

Array = np.ndarray[Any, Any]


def counted(deviations: Array, *, scale: float, least: float, unequal: int) -> ErrorHistogram:
    """Count absolute deviations by their decade of `scale`; below `least` they are none.

    `unequal` of the elements differ without a measure, and have a deviation of 0 here.
    """
    counts = np.zeros(HIGHEST - LOWEST + 1, np.int64)
    flat = deviations.reshape(-1)
    for start in range(0, flat.size, _CHUNK):
        chunk = flat[start : start + _CHUNK]
        exponents = np.floor(np.log10(chunk[chunk >= least]) - np.log10(scale))
        counts += np.bincount((exponents.clip(LOWEST, HIGHEST) - LOWEST).astype(np.int64), minlength=len(counts))
    decades = tuple(Decade(exponent=LOWEST + at, count=int(counts[at])) for at in np.flatnonzero(counts).tolist())
    return ErrorHistogram(equal=flat.size - int(counts.sum()) - unequal, decades=decades, unequal=unequal)
