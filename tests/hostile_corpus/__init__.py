"""Artifacts that try to crash, hang, read, write, delete, call out or exhaust: each as what a user might be sent."""

from typing import Final

from tests.hostile_corpus import checkpoints, files, graphs, host_ops
from tests.hostile_corpus.case import Case, Outside

CASES: Final[tuple[Case, ...]] = (*graphs.CASES, *host_ops.CASES, *checkpoints.CASES, *files.CASES)

__all__ = ["CASES", "Case", "Outside"]
