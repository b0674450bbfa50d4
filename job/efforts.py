"""How much a benchmark measures, and on what variants are raced."""

from typing import Final

BATCHES: Final = {"quick": (1, 8), "full": (1, 2, 4, 8, 16, 32, 64, 128, 256)}
BUDGETS_S: Final = {"quick": 6.0, "full": 20.0}
"""Seconds a batch size; methods.md asks for three windows that agree, which these allow on a CPU."""

RACE_BATCHES: Final = {"cpu": (1, 8), "gpu": (1, 64)}
"""One example as a server gets it, and enough of them to fill the device."""
