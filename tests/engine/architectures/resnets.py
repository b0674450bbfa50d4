"""The originals of ResNets, and what our restated ones answer without a graph in between."""

import gzip
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from job.engine.architectures import reading
from job.engine.architectures.base import Proposal
from job.engine.architectures.catalogue import Catalogue, Tensor
from job.engine.architectures.graph import GraphLayers
from job.engine.architectures.inventory import Inventory, take
from job.engine.architectures.keras import KerasLayers
from tests.architectures import originals

TOLERANCE: Final = 1e-5
Array = NDArray[Any]

SCHEMES: Final = {
    r"slim_(v\d)_(\d+)": r"slim_resnet_\1_\2",
    r"keras_(?:objects_)?v1_(\d+)": r"keras_resnet_\1",
    r"keras_(?:objects_)?v2_(\d+)": r"keras_resnet_v2_\1",
    r"keras_old_(\d+_(?:unpadded|same))": r"keras_old_resnet_\1",
    r"keras_old_(\d+)": r"keras_old_resnet_\1",
    r"(official|tpu)_(v\d)_(\d+)": r"\1_resnet_\2_\3",
    r"nvidia_2019_(\d+)": r"nvidia_resnet_\1_2019",
    r"nvidia_2020_(\d+)": r"nvidia_resnet_\1",
    r"benchmarks_(v\d(?:_5)?)_(\d+)": r"benchmarks_resnet_\1_\2",
    r"tensorpack_preact_(\d+)": r"tensorpack_preact_resnet_\1",
    r"tensorpack_(\d+_stride_first)": r"tensorpack_resnet_\1",
    r"tensorpack_(\d+)": r"tensorpack_resnet_\1",
}
"""What originals are called, and the schemes that they are of."""


def scheme_of(name: str) -> str:
    """Return the scheme that an original is of, nothing where it is no ResNet."""
    found = ((re.match(pattern, name), scheme) for pattern, scheme in SCHEMES.items())
    return next((match.expand(scheme) for match, scheme in found if match), "")


NAMES: Final = [name for path in sorted(originals.FOLDER.glob("*.json")) if scheme_of(name := path.stem)]


def recognised(case: originals.Case, scheme: str = "") -> tuple[Proposal, Inventory]:
    """Return what a checkpoint is taken for; an object-based one by the names that its object graph has."""
    inventory = take({**case.variables, **case.extras}, recorded(case))
    return reading.recognise(inventory, case.case, scheme), inventory


def recorded(case: originals.Case) -> dict[str, str]:
    """Return the names of variables by key, as an object-based checkpoint has them."""
    path = originals.FOLDER / f"{case.case}.object_graph.gz"
    graph = TrackableObjectGraph.FromString(gzip.decompress(path.read_bytes()) if path.exists() else b"")
    return {one.checkpoint_key: one.full_name for node in graph.nodes for one in node.attributes}


class Answering(GraphLayers):
    """Answers at once: there is no graph to make, and variables are their values."""

    def __init__(self, catalogue: Catalogue, values: Mapping[str, Array], images: Array) -> None:
        super().__init__(catalogue, {})
        self._values = values
        self._images = images

    def images(self, shape: Sequence[int | None]) -> tf.Tensor:
        """Return the images themselves."""
        assert list(shape) == [None, None, 3]
        return tf.constant(self._images)

    def _variable(self, tensor: Tensor, *, trainable: bool) -> tf.Tensor:  # noqa: ARG002 - as it is called
        return tf.constant(self._values[tensor.name])


def logits(proposal: Proposal, inventory: Inventory, values: Mapping[str, Array], images: Array) -> Array:
    """Return the logits of images; `values` are by checkpoint key."""
    named = {name: values[key] for name, key in inventory.keys.items()}
    layers = Answering(Catalogue(naming=proposal.naming(), stored=inventory.weights), named, images)
    return np.asarray(proposal.build(layers)["logits"])


def logits_in_keras(proposal: Proposal, inventory: Inventory, values: Mapping[str, Array], images: Array) -> Array:
    """Return the logits that the Keras model answers."""
    named = {name: values[key] for name, key in inventory.keys.items()}
    catalogue = Catalogue(naming=proposal.naming(), stored=inventory.weights)
    layers = KerasLayers(catalogue, named, momentum=proposal.momentum)
    model = layers.model({"logits": proposal.build(layers)["logits"]}, proposal.scheme)
    return np.asarray(model(images, training=False))


def apart(said: Array, expected: Array) -> float:
    """Return the largest difference by the scale of what is expected."""
    return float(np.abs(said - expected).max() / np.abs(expected).max())


def furthest(case: originals.Case, proposal: Proposal, inventory: Inventory) -> float:
    """Return how far the logits are from those of TensorFlow 1.15.5 at the size where they are furthest."""
    values = case.values(with_extras=False)
    return max(
        apart(logits(proposal, inventory, values, case.images(pixels)), case.answer("logits", pixels))
        for pixels in case.pixels
    )
