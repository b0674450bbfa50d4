"""How much a benchmark measures."""

from typing import Final

BATCHES: Final = {"quick": (1, 8), "full": (1, 2, 4, 8, 16, 32, 64, 128, 256)}
BUDGETS_S: Final = {"quick": 6.0, "full": 20.0}
"""Seconds a batch size; methods.md asks for three windows that agree, which these allow on a CPU."""
