"""What the graphs of hostile ops have in common."""

from collections.abc import Callable
from typing import Final

from tests.hostile_corpus.case import Outside
from tests.hostile_corpus.text import after, node, text

Graph = Callable[[Outside], str]

TYPES: Final = {"output_types": "list { type: DT_INT64 }", "output_shapes": "list { shape { } }"}

STRINGS: Final = {"output_types": "list { type: DT_STRING }", "output_shapes": "list { shape { } }"}

EMPTY: Final = text("empty", "")


def bytes_of(value: str) -> str:
    return f's: "{value}"'


def run_of(dataset: str, types: dict[str, str]) -> str:
    """Return what takes the one element of a dataset."""
    return node("element", "DatasetToSingleElement", dataset, **types) + after("element")
