"""Training switches: placeholders that choose between training and inference, and their inference values."""

import re
from collections.abc import Iterator
from typing import Any, Final

import tensorflow as tf

from job.engine.graph import Edge, Graph, attribute
from job.records import Finding

PLACEHOLDERS: Final = ("Placeholder", "PlaceholderV2", "PlaceholderWithDefault")

WORD: Final = r"(mode|phase|flag|switch|ph|placeholder|pl)"

TRAINING: Final = re.compile(
    rf"(^|[_/])(is_?)?(train(ing)?)(_?{WORD})*(_\d+)?$"
    r"|(^|[_/])phase(_?train(ing)?)?(_\d+)?$|learning_phase(_\d+)?$"
    r"|(^|[_/])(use|apply|enable|do|with|add)_?drop_?out(_\d+)?$",
    re.IGNORECASE,
)
TESTING: Final = re.compile(
    rf"(^|[_/])(is_?(test|eval|infer|predict)\w*|(testing|evaluating|inference|test_?mode|eval_?mode)(_?{WORD})*)(_\d+)?$",
    re.IGNORECASE,
)
"""Names of switches that are on at inference."""

TRAINING_NUMBER: Final = re.compile(
    rf"(^|/)((is|bn|keras|dropout)_?)*(train(ing)?(_?{WORD})*|phase(_?train(ing)?)?|learning_phase)(_\d+)?$",
    re.IGNORECASE,
)
"""An integer's name must begin so: ``num_train`` counts something."""

TRAINING_FRACTION: Final = re.compile(
    rf"(^|/)((is|bn|keras)_?)+train(ing)?(_?{WORD})*(_\d+)?$|learning_phase(_\d+)?$", re.IGNORECASE
)
"""What a float must be called to be 0 in inference and 1 in training: ``phase`` may be a wave's."""

PART: Final = r"(in|input|out|output|state|hidden|fc|conv|rnn|lstm|cell|ph|placeholder|\d+)"
KEEP: Final = re.compile(
    rf"(^|[_/])(drop_?out_?)?({PART}_?)*keep(_?(prob(ability)?s?|rate))?(_?{PART})*$", re.IGNORECASE
)
DROP: Final = re.compile(
    r"(^|[_/])drop(_?out)?(_?(rate|prob(ability)?|p|ratio))?(_?(ph|placeholder))?(_\d+)?$", re.IGNORECASE
)
DROPOUT: Final = re.compile(r"keep_?prob|drop_?out", re.IGNORECASE)
"""What nothing but dropout is called."""

RANDOM: Final = re.compile(r"Random|Uniform|Normal$|Multinomial")
"""Ops that draw random numbers."""


def inference_value(node: Any) -> bool | int | float | None:
    """Return what a placeholder must be at inference, or `None` for one that is no switch.

    Told by name, type and shape, as in symptom 13: a scalar (or unshaped, or of one element) bool or
    number named for training is false, one named for keeping is 1, one named for dropping is 0.
    """
    if node.op not in PLACEHOLDERS or not may_be_scalar(node):
        return None
    dtype, name = tf.as_dtype(attribute(node, "dtype").type), node.name
    if dtype.is_bool and (TRAINING.search(name) or TESTING.search(name)):
        return bool(TESTING.search(name))
    if dtype.is_integer and TRAINING_NUMBER.search(name):
        return 0
    if dtype.is_floating and (KEEP.search(name) or DROP.search(name)):
        return 1.0 if KEEP.search(name) else 0.0
    return 0.0 if dtype.is_floating and TRAINING_FRACTION.search(name) and not _is_unknown(node) else None


def find_switches(graph: Graph) -> dict[str, bool | int | float]:
    """Return the inference value of every training switch, by tensor name (``is_training:0``).

    What is only named for dropping or keeping must meet a random number somewhere: ``price_drop`` is data.
    """
    values = ((node.name, inference_value(node)) for node in graph.of_type(*PLACEHOLDERS))
    found = {Edge(name, 0): value for name, value in values if value is not None}
    data = {edge for edge in found if _may_be_data(graph.nodes[edge.node]) and not _meets_chance(graph, edge)}
    return {edge.tensor: 1.0 if _divides(graph, edge) else found[edge] for edge in found.keys() - data}


def _may_be_data(node: Any) -> bool:
    named = (KEEP.search(node.name) or DROP.search(node.name)) and not DROPOUT.search(node.name)
    return bool(named and tf.as_dtype(attribute(node, "dtype").type).is_floating)


def _meets_chance(graph: Graph, edge: Edge) -> bool:
    """Whether a tensor meets a random number before it meets data, or may in a function."""
    if graph.graph_def.library.function:
        return True
    random = [Edge(node.name, 0) for node in graph.graph_def.node if RANDOM.search(node.op)]
    others = [Edge(node.name, 0) for node in graph.of_type(*PLACEHOLDERS) if node.name != edge.node]
    met = graph.descendants([edge]) & graph.descendants(random)
    return bool(met - graph.descendants(others, opaque=("Shape", "ShapeN")))


def _divides(graph: Graph, edge: Edge) -> bool:
    """Whether something is divided by a tensor: then it is a share to keep, though ``dropout`` may be its name."""
    seen, queue = {edge.node}, [edge.node]
    while queue:
        for who, index, _ in graph.consumers(queue.pop()):
            op = graph.nodes[who].op
            if (op in ("RealDiv", "Div") and index == 1) or op in ("Reciprocal", "Inv"):
                return True
            if op in ("Identity", "Enter", "Switch") and index == 0 and who not in seen:
                seen.add(who)
                queue.append(who)
    return False


def findings(bound: dict[str, Any]) -> Iterator[Finding]:
    """Say which switches were set, and to what."""
    for tensor, value in bound.items():
        yield Finding(
            code="training_switch_bound",
            cause=f"{tensor} was set to {value} for inference",
            remedy="to keep it an input, name it with the others under `inputs` in the manifest, and `outputs`",
        )


def may_be_scalar(node: Any) -> bool:
    """Whether a placeholder takes one value: its shape is that of a scalar, ``[1]`` or not told."""
    shape = attribute(node, "shape")
    return _is_unknown(node) or [dim.size for dim in shape.shape.dim] in ([], [1])


def _is_unknown(node: Any) -> bool:
    shape = attribute(node, "shape")
    return shape is None or shape.shape.unknown_rank
