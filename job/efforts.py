"""How much a benchmark measures, and on what variants are raced."""

from typing import Final

from job.requests import BenchmarkRequest, RaceRequest

BATCHES: Final = {"quick": (1, 8), "full": (1, 2, 4, 8, 16, 32, 64, 128, 256)}
BUDGETS_S: Final = {"quick": 6.0, "full": 20.0}
"""Seconds a batch size; methods.md asks for three windows that agree, which these allow on a CPU."""

RACE_BATCHES: Final = {"cpu": (1, 8), "gpu": (1, 64)}
"""One example as a server gets it, and enough of them to fill the device."""


def measuring_s(request: object) -> float:
    """Return how long a stage measures if it uses its budget; 0 for one that has none."""
    if isinstance(request, BenchmarkRequest):
        sizes = request.source.options.batch_sizes or BATCHES[request.effort]
        feedings = 2 if request.device == "gpu" else 1
        return BUDGETS_S[request.effort] * (feedings * len(sizes) + 1)
    return request.budget_s if isinstance(request, RaceRequest) else 0.0
