"""Training switches: placeholders that choose between training and inference, and their inference values."""

import re
from collections.abc import Iterator
from typing import Any, Final

import tensorflow as tf

from job.engine.graph import Graph, attribute
from job.records import Finding

PLACEHOLDERS: Final = ("Placeholder", "PlaceholderV2", "PlaceholderWithDefault")

TRAINING: Final = re.compile(
    r"(^|[_/])(is_?)?(train(ing)?)(_?(mode|phase|flag|switch|ph))?(_\d+)?$|phase_?(train(ing)?)?(_\d+)?$|learning_phase(_\d+)?$"
    r"|(^|[_/])(is_?)?(train(ing)?)_?(placeholder|pl)?(_\d+)?$",
    re.IGNORECASE,
)
KEEP: Final = re.compile(r"(^|[_/]|dropout)keep_?(prob(ability)?|rate)?s?(_\w+)?$", re.IGNORECASE)
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
    if (dtype.is_bool or dtype.is_integer) and TRAINING.search(name):
        return False if dtype.is_bool else 0
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
