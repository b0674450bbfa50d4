"""What goes into the graph that a user's function built, and what comes out: told by what the function returned."""

import sys
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import tensorflow as tf

from job.engine.graph import Graph, edge_of
from job.engine.health import dropout
from job.engine.interface import switches
from job.engine.interface.guessing import key_of
from job.engine.interface.switches_by_use import find_by_use
from job.errors import UsageError

Tensors = Mapping[str, tf.Tensor]
"""Tensors by the keys of the signature."""

RETURN: Final = (
    "return a Keras 3 model, or from ops of tf.compat.v1 a tensor, a dictionary of tensors, or a pair of "
    "inputs and outputs, each of them a tensor or a dictionary"
)


@dataclass(frozen=True, kw_only=True)
class Interface:
    """Inputs and outputs, and what a Keras model calls its variables, by their nodes."""

    inputs: Tensors
    outputs: Tensors
    names: Mapping[str, str] = field(default_factory=dict)


def interface_of(result: Any, graph: tf.Graph, where: str) -> Interface:
    """Return the interface of what a function returned, which it built in `graph`; raises `UsageError`."""
    keras = sys.modules.get("keras")
    if keras is not None and isinstance(result, keras.Model):
        return _of_model(keras, result, graph, where)
    if isinstance(result, tuple) and len(result) == 2:
        fed, results = (_tensors(one, graph, where) for one in result)
        _check_fed(fed, where)
        return Interface(inputs=fed, outputs=results)
    results = _tensors(result, graph, where)
    return Interface(inputs=_placeholders(graph, results.values()), outputs=results)


def _tensors(result: Any, graph: tf.Graph, where: str) -> Tensors:
    """Return tensors by key; those without one by the name of their node."""
    if isinstance(result, Mapping):
        named = dict(result)
    else:
        named = {}
        for tensor in result if isinstance(result, list | tuple) else [result]:
            _check(tensor, graph, where)
            named[key_of(tensor.name, named)] = tensor
    for key, tensor in named.items():
        _check(tensor, graph, where)
        if not isinstance(key, str) or not key:
            raise UsageError(f"an input or output is called {key!r}", where=where, remedy="call it by a text")
    if not named:
        raise UsageError("the function returned nothing", where=where, remedy=RETURN)
    return named


def _check(tensor: Any, graph: tf.Graph, where: str) -> None:
    if not isinstance(tensor, tf.Tensor):
        kind = type(tensor).__name__
        raise UsageError(f"the function returned {_article(kind)} {kind}", where=where, remedy=RETURN)
    if getattr(tensor, "graph", None) is not graph:
        raise UsageError(
            f"the function returned a tensor that is not in the graph in which it was called ({_line(tensor)})",
            where=where,
            remedy="build the model within the function, without a graph or a session of its own",
        )


def _check_fed(fed: Tensors, where: str) -> None:
    other = next((tensor.name for tensor in fed.values() if tensor.op.type not in switches.PLACEHOLDERS), "")
    if other:
        raise UsageError(
            f"the function returned a pair, and {other} in its first half is no placeholder",
            where=where,
            remedy="return inputs and outputs; of several outputs a dictionary",
        )


def _placeholders(graph: tf.Graph, results: Iterable[tf.Tensor]) -> Tensors:
    """Return the placeholders behind the results, but for those that choose between training and inference."""
    built = Graph(graph.as_graph_def())
    bound = switches.find_switches(built) | find_by_use(built) | dropout.find_controls(built)
    behind = built.ancestors(tensor.op.name for tensor in results)
    fed = dict[str, tf.Tensor]()
    for node in built.of_type("Placeholder", "PlaceholderV2"):
        if node.name in behind and f"{node.name}:0" not in bound:
            fed[key_of(node.name, fed)] = graph.get_tensor_by_name(f"{node.name}:0")
    return fed


def _of_model(keras: Any, model: Any, graph: tf.Graph, where: str) -> Interface:
    """Call a model in inference on placeholders for its inputs."""
    if not getattr(model, "inputs", None):
        raise UsageError(
            "the Keras model does not say what its inputs are",
            where=where,
            remedy="return keras.Model(inputs, outputs), or begin a Sequential with keras.Input",
        )
    names = {_node_of(variable, graph, where): variable.path for variable in model.variables}
    if not hasattr(model, "output_names"):  # a Sequential tells neither names nor structure
        model = keras.Model(model.inputs, model.outputs)
    layers = {id(one.output): one.name for one in model.layers if isinstance(one, keras.layers.InputLayer)}
    fed = dict[str, tf.Tensor]()

    def placeholder(told: Any) -> tf.Tensor:
        key = key_of(layers.get(id(told), told.name), fed)
        fed[key] = tf.compat.v1.placeholder(told.dtype, told.shape, name=key)
        return fed[key]

    with graph.as_default(), tf.device("/CPU:0"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras warns of what its own layers do
        results = model(keras.tree.map_structure(placeholder, model.input), training=False)
    if isinstance(results, Mapping):
        return Interface(inputs=fed, outputs=dict(results), names=names)
    outputs = dict[str, tf.Tensor]()
    for name, tensor in zip(model.output_names, keras.tree.flatten(results), strict=True):
        outputs[key_of(name, outputs)] = tensor
    return Interface(inputs=fed, outputs=outputs, names=names)


def _node_of(variable: Any, graph: tf.Graph, where: str) -> str:
    handle = variable.value.handle
    if getattr(handle, "graph", None) is not graph:
        raise UsageError(
            "the Keras model was not built by the function when it was called",
            where=where,
            remedy="build it within the function, not when the module is imported",
        )
    name: str = edge_of(handle.name).node
    return name


def _article(kind: str) -> str:
    return "an" if kind[0].upper() in "AEIOU" else "a"


def _line(tensor: Any) -> str:
    return str(getattr(tensor, "name", "")) if hasattr(tensor, "op") else "it is a value"
