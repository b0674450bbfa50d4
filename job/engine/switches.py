"""Training switches: placeholders that choose between training and inference, and their inference values."""

import re
from collections.abc import Iterator
from typing import Any, Final

import tensorflow as tf

from job.engine.graph import Graph, attribute
from job.records import Finding

PLACEHOLDERS: Final = ("Placeholder", "PlaceholderV2", "PlaceholderWithDefault")

TRAINING: Final = re.compile(
    r"(^|[_/])(is_?)?(train(ing)?)(_?(mode|phase|flag|switch|ph|placeholder|pl))?(_\d+)?$"
    r"|(^|[_/])phase(_?train(ing)?)?(_\d+)?$|learning_phase(_\d+)?$",
    re.IGNORECASE,
)
TRAINING_NUMBER: Final = re.compile(
    r"(^|/)((is|bn|keras|dropout)_?)*(train(ing)?(_?(mode|phase|flag|switch|ph|placeholder|pl))?"
    r"|phase(_?train(ing)?)?|learning_phase)(_\d+)?$",
    re.IGNORECASE,
)
"""An integer's name must begin so: ``num_train`` counts something."""

PART: Final = r"(in|input|out|output|state|hidden|fc|conv|rnn|lstm|cell|ph|placeholder|\d+)"
KEEP: Final = re.compile(
    rf"(^|[_/])(drop_?out_?)?({PART}_?)*keep(_?(prob(ability)?s?|rate))?(_?{PART})*$", re.IGNORECASE
)
DROP: Final = re.compile(
    r"(^|[_/])drop(_?out)?(_?(rate|prob(ability)?|p|ratio))?(_?(ph|placeholder))?(_\d+)?$", re.IGNORECASE
)


def inference_value(node: Any) -> bool | int | float | None:
    """Return what a placeholder must be at inference, or `None` for one that is no switch.

    Told by name, type and rank, as in symptom 13: a scalar (or unshaped) bool or integer named
    for training is false, one named for keeping is 1, one named for dropping is 0.
    """
    if node.op not in PLACEHOLDERS or not _may_be_scalar(node):
        return None
    dtype, name = tf.as_dtype(attribute(node, "dtype").type), node.name
    if dtype.is_bool and TRAINING.search(name):
        return False
    if dtype.is_integer and TRAINING_NUMBER.search(name):
        return 0
    if dtype.is_floating and (KEEP.search(name) or DROP.search(name)):
        return 1.0 if KEEP.search(name) else 0.0
    return None


def find_switches(graph: Graph) -> dict[str, bool | int | float]:
    """Return the inference value of every training switch, by tensor name (``is_training:0``)."""
    values = ((node.name, inference_value(node)) for node in graph.of_type(*PLACEHOLDERS))
    return {f"{name}:0": value for name, value in values if value is not None}


def findings(bound: dict[str, Any]) -> Iterator[Finding]:
    """Say which switches were set, and to what."""
    for tensor, value in bound.items():
        yield Finding(
            code="training_switch_bound",
            cause=f"{tensor} was set to {value} for inference",
            remedy="name it under `inputs` in the manifest to keep it an input",
        )


def _may_be_scalar(node: Any) -> bool:
    shape = attribute(node, "shape")
    return shape is None or shape.shape.unknown_rank or not shape.shape.dim
