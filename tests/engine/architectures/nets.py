"""A network that says every word for images, with values for its tensors, for tests of backends."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from job.engine.architectures.base import Build, Family, Proposal
from job.engine.architectures.catalogue import Catalogue, Kind
from job.engine.architectures.graph import GraphLayers
from job.engine.architectures.inventory import Inventory, take
from job.engine.architectures.layers import Layers, Outputs, T, Window
from tests.architectures import weights

v1 = tf.compat.v1
Arrays = dict[str, NDArray[Any]]

NORM: Final = ("gamma", "beta", "mean", "variance")

SHAPES: Final = {
    "conv1/kernel": (3, 3, 3, 4),
    **{f"conv1/norm/{role}": (4,) for role in NORM},
    "block/depthwise/kernel": (3, 3, 4, 1),
    **{f"block/norm/{role}": (4,) for role in NORM if role != "gamma"},
    "block/conv2/kernel": (1, 1, 4, 4),
    "block/conv2/bias": (4,),
    "head/kernel": (1, 1, 8, 5),
    "head/bias": (5,),
}
"""What `network` wants: batch norm with and without gamma, convolutions with and without a bias, a dense 1x1 kernel."""


def network(layers: Layers[T]) -> Outputs[T]:
    """Build a network of one block."""
    x = layers.pad(layers.images([None, None, 3]), 0, 1)
    x = layers.conv(x, "conv1", Window((3, 3), 2, "valid"))
    x = layers.relu(layers.norm(x, "conv1/norm", epsilon=1e-3), limit=6)
    y = layers.depthwise(layers.max_pool(x, Window((3, 3), 2)), "block/depthwise", Window((3, 3)))
    y = layers.relu(layers.norm(y, "block/norm", epsilon=1e-5, scale=False))
    y = layers.conv(y, "block/conv2", Window((1, 1)), bias=True)
    x = layers.mean_pool(layers.max_pool(x, Window((1, 1), 2, "valid")), Window((3, 3)))
    features = layers.mean(layers.crop(layers.concat([layers.add(x, y), y]), 7))
    logits = layers.dense(features, "head")
    return {"features": features, "logits": logits, "probabilities": layers.softmax(logits)}


def logits(layers: Layers[T]) -> Outputs[T]:
    """Build as `network` does, with a single output."""
    outputs = network(layers)
    return {"logits": outputs["logits"]}


def family(build: Build = network) -> Family:
    """Return a family of that network alone, which names tensors by its own paths and roles."""

    def propose(_: Inventory) -> Iterator[Proposal]:
        yield Proposal(scheme="tiny", title="a tiny network", build=build, naming=lambda: names, momentum=0.9)

    return propose


def names(path: str, _: Kind) -> Mapping[str, str]:
    """Name a layer's tensors by its path."""
    return {role: f"{path}/{role}" for role in ("kernel", "bias", *NORM)}


def values_of(shapes: Mapping[str, tuple[int, ...]] = SHAPES) -> Arrays:
    """Return values for all tensors."""
    return {name: np.asarray(weights.value_of(name, shape)) for name, shape in shapes.items()}


def answers(proposal: Proposal, values: Arrays, feeds: Arrays) -> Arrays:
    """Return what the TF1 graph answers."""
    inventory = take({name: array.shape for name, array in values.items()})
    with tf.Graph().as_default() as graph, v1.Session() as session:
        layers = GraphLayers(Catalogue(naming=proposal.naming(), stored=inventory.weights), {})
        outputs = proposal.build(layers)
        fed = {variable: values[name] for name, variable in layers.variables.items()}
        fed |= {graph.get_tensor_by_name(f"{key}:0"): array for key, array in feeds.items()}
        said: Arrays = session.run(dict(outputs), fed)
    return said
