"""ResNets of Keras: tf.keras 1.15, its object-based checkpoints, V2, and the resnet50.py of Keras before 2.2.5."""

from __future__ import annotations  # Python 3.7 runs this

import functools
import gzip
import importlib
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf  # noqa: TID253 - 1.15.5 runs the originals
from tensorflow.core.protobuf import trackable_object_graph_pb2  # noqa: TID253 - as before
from tensorflow.python import keras as tf_keras  # noqa: TID253 - what tf.keras.applications uses

from tests.architectures import weights
from tests.architectures.make import recording, resnet_cases
from tests.architectures.make.resnet_cases import NARROW, Case

ORIGIN = "keras_applications 1.0.8 {resnet_common,%s}.py with tf.keras of TensorFlow 1.15.5, as tf.keras does"
OLD_ORIGIN = "keras_applications %s resnet50.py with Keras 2.2.4 on TensorFlow 1.15.5, run as it is"
SAME_ORIGIN = (
    "; re-stated in one thing: conv1 is padded by SAME, as in tensorflow/tensorflow"
    " tensorflow/python/keras/_impl/keras/applications/resnet50.py at 07ca5807cbb678a0d0c7ba1b39f5e0a4e35c65bf"
)
OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
HEAD_SCALE = 1e-4
HEAD_SCALES = {"101": 1e-7, "152": 1e-10}
"""Of the head's kernel, smaller where a network is deeper: logits of some units, which a softmax does not hide."""

COMMON = {
    "preprocessing": "BGR - (103.939, 116.779, 123.68), not scaled: imagenet_utils.preprocess_input(mode='caffe')",
    "labels": "1000, no background",
    "head": "softmax inside the model",
    "stride": "first unit of a stage, at its first 1x1 and its 1x1 shortcut",
}
V1 = dict(
    COMMON,
    padding="conv1 ZeroPadding 3, then VALID; 3x3 SAME, stride 1; pool1 ZeroPadding 1 after the ReLU, then VALID",
    batch_norm="epsilon 1.001e-5, decay 0.99",
    bias="every convolution",
)
V2 = dict(
    COMMON,
    padding="conv1 ZeroPadding 3, 3x3 ZeroPadding 1, then VALID; pool1 ZeroPadding 1 (zeros, before any"
    " ReLU), then VALID",
    batch_norm="epsilon 1.001e-5, decay 0.99",
    bias="conv1, shortcuts, the last of a unit",
    preprocessing="RGB in [-1,1]: imagenet_utils.preprocess_input(mode='tf')",
    stride="last unit of conv2 to conv4, at its 3x3; its identity shortcut is MaxPooling 1x1/2; names say block1 to"
    " blockN and only block1 projects",
)
OLD = dict(COMMON, batch_norm="epsilon 1e-3, decay 0.99 (Keras' defaults)", bias="every convolution")
POOLS = {
    "1.0.6": "conv1 ZeroPadding 3, then VALID; pool1 ZeroPadding 1, then VALID (since commit 36436f6, 2018-08-31)",
    "1.0.4": "conv1 ZeroPadding 3, then VALID; pool1 VALID without padding: 55x55 of 224 pixels",
}


def cases(folder: str) -> Iterator[Case]:
    """Return the cases of a folder that holds ``keras224``, ``apps104`` and ``apps106``."""
    yield new("keras_v1_50", "resnet", "ResNet50", V1, train=True)
    yield new("keras_v1_50_classes1001", "resnet", "ResNet50", V1, classes=1001, sizes=(224,))
    yield new("keras_v1_50_full", "resnet", "ResNet50", V1, divisor=1)
    yield new("keras_v1_101", "resnet", "ResNet101", V1, sizes=(224,))
    yield new("keras_v1_152", "resnet", "ResNet152", V1, sizes=(224,))
    yield new("keras_v2_50", "resnet_v2", "ResNet50V2", V2, train=True)
    yield new("keras_v2_50_classes1001", "resnet_v2", "ResNet50V2", V2, classes=1001, sizes=(224,))
    yield new("keras_v2_101", "resnet_v2", "ResNet101V2", V2, sizes=(224,))
    yield objects("keras_objects_v1_50", "resnet", "ResNet50", V1)
    yield objects("keras_objects_v2_50", "resnet_v2", "ResNet50V2", V2)
    yield objects("keras_objects_v1_50_checkpoint", "resnet", "ResNet50", V1, of_checkpoint=True)
    yield old(folder, "keras_old_50", "1.0.6", "apps106")
    yield old(folder, "keras_old_50_classes1001", "1.0.6", "apps106", classes=1001, sizes=(224,))
    yield old(folder, "keras_old_50_unpadded", "1.0.4", "apps104", sizes=(224, 225, 256))
    yield old(folder, "keras_old_50_same", "1.0.4", "apps104", layers_of=SameLayers)


def new(
    name: str,
    module: str,
    function: str,
    facts: dict[str, str],
    *,
    classes: int = 1000,
    divisor: int = NARROW,
    sizes: tuple[int, ...] = resnet_cases.SIZES,
    train: bool = False,
) -> Case:
    """Return a case of tf.keras, its names those of a Saver."""

    def build(inputs: dict[str, Any]) -> dict[str, Any]:
        return outputs_of(tf_model(module, function, inputs["images"], classes, divisor))

    def training(images: Any, labels: Any) -> None:
        model = tf_model(module, function, images, classes, divisor)
        model.compile(tf.keras.optimizers.Adam(), "sparse_categorical_crossentropy", target_tensors=[labels])
        model._make_train_function()

    keys = ("logits", "probabilities") if len(sizes) > 1 else resnet_cases.LOGITS
    scale = HEAD_SCALES.get(function[len("ResNet") :][:3], HEAD_SCALE)
    extras = training if train else None
    return Case(
        name,
        ORIGIN % module,
        build,
        facts,
        classes=classes,
        sizes=sizes,
        keys=keys,
        train=extras,
        scales={"probs/kernel": scale},
    )


def tf_model(module: str, function: str, images: Any, classes: int, divisor: int) -> Any:
    """Return a model of keras_applications on tf.keras."""
    tf.keras.backend.set_learning_phase(0)
    maker = getattr(importlib.import_module("keras_applications." + module), function)
    image = tf_keras.layers.Input(tensor=images)
    return maker(weights=None, input_tensor=image, classes=classes, **modules_of(tf_keras, divisor))


class NarrowLayers:
    """A Keras' layers, except that convolutions are narrower."""

    def __init__(self, layers: Any, divisor: int) -> None:
        self._layers = layers
        self.Conv2D = resnet_cases.dividing(layers.Conv2D, 0, "filters", divisor)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._layers, name)


def outputs_of(model: Any) -> dict[str, Any]:
    """Return a classifier's probabilities, and the logits that its softmax is given."""
    probabilities = model.outputs[0]
    softmax = probabilities.op
    while softmax.type != "Softmax":
        softmax = softmax.inputs[0].op
    return {"logits": softmax.inputs[0], "probabilities": probabilities}


class SameLayers(NarrowLayers):
    """Layers of which conv1 pads by itself, as TensorFlow 1.8 had it."""

    def __init__(self, layers: Any, divisor: int) -> None:
        NarrowLayers.__init__(self, layers, divisor)
        whole = self.Conv2D
        self.Conv2D = lambda *arguments, **named: whole(*arguments, **dict(named, **same_if_first(named)))
        self.ZeroPadding2D = lambda *_, **__: lambda images: images


def same_if_first(named: dict[str, Any]) -> dict[str, str]:
    """Return what the first convolution is called with instead."""
    return {"padding": "same"} if named["name"] == "conv1" else {}


def old(
    folder: str,
    name: str,
    version: str,
    path: str,
    *,
    classes: int = 1000,
    sizes: tuple[int, ...] = resnet_cases.SIZES,
    layers_of: Any = NarrowLayers,
) -> Case:
    """Return a case of Keras 2.2.4 with the resnet50.py of some keras_applications."""

    def build(inputs: dict[str, Any]) -> dict[str, Any]:
        keras, package = old_modules(folder, path)
        keras.backend.set_learning_phase(0)
        with resnet_cases.patched((package.resnet50, "layers", layers_of(keras.layers, NARROW))):
            return outputs_of(package.resnet50.ResNet50(**arguments_of(keras, package, inputs["images"], classes)))

    facts, keys = dict(OLD, padding=POOLS[version]), ("logits", "probabilities")
    scales = {"fc1000/kernel": HEAD_SCALE}
    origin = OLD_ORIGIN % version
    if layers_of is SameLayers:
        origin += SAME_ORIGIN
        facts["padding"] = "conv1 SAME; pool1 VALID without padding"
    return Case(name, origin, build, facts, classes=classes, sizes=sizes, keys=keys, scales=scales)


def arguments_of(keras: Any, package: Any, images: Any, classes: int) -> dict[str, Any]:
    """Return what ResNet50 is called with: before 1.0.5 the modules of Keras are the package's, not arguments."""
    call = {"weights": None, "input_tensor": keras.layers.Input(tensor=images), "classes": classes}
    return call if hasattr(package, "set_keras_submodules") else dict(call, **modules_of(keras, NARROW))


def modules_of(keras: Any, divisor: int) -> dict[str, Any]:
    """Return the modules that keras_applications asks for."""
    layers = NarrowLayers(keras.layers, divisor)
    return {"backend": keras.backend, "layers": layers, "models": keras.models, "utils": keras.utils}


@functools.lru_cache(maxsize=None)  # noqa: UP033 - Python 3.7 has no functools.cache
def old_modules(folder: str, path: str) -> tuple[Any, Any]:
    """Import Keras 2.2.4 and a keras_applications older than the one that tf.keras has imported."""
    keras = imported(Path(folder, "keras224"), "keras")
    kept = {key: sys.modules.pop(key) for key in list(sys.modules) if key.split(".")[0] == "keras_applications"}
    package = imported(Path(folder, path), "keras_applications")
    if hasattr(package, "set_keras_submodules"):
        package.set_keras_submodules(engine=keras.engine, **modules_of(keras, NARROW))
    imported(Path(folder, path), "keras_applications.resnet50")
    for key in [key for key in sys.modules if key.split(".")[0] == "keras_applications"]:
        del sys.modules[key]
    sys.modules.update(kept)
    return keras, package


def imported(path: Path, name: str) -> Any:
    """Import a module from a folder."""
    sys.path.insert(0, str(path))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(path))


class Objects(Case):
    """A case whose checkpoint is object-based: its variables' names are the checkpoint's keys."""

    def __init__(
        self, name: str, origin: str, model_of: Callable[[Any], Any], facts: dict[str, str], *, of_checkpoint: bool
    ) -> None:
        self.written = functools.lru_cache(maxsize=None)(
            functools.partial(written_by, model_of, of_checkpoint=of_checkpoint)
        )
        keys = ("logits", "probabilities")
        Case.__init__(self, name, origin, self.outputs_of, facts, keys=keys)
        self.model_of = model_of

    def outputs_of(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Build the model."""
        return outputs_of(self.model_of(inputs["images"]))

    def value_of(self, name: str, shape: Sequence[int]) -> Any:
        """Return the value that a variable's checkpoint key has."""
        key = self.written()[1][name]
        return weights.value_of(key, shape) * np.float32(HEAD_SCALE if name == "probs/kernel" else 1)

    def write(self) -> None:
        """Write the case, and the object graph of its checkpoint beside it."""
        shapes, keys, graph = self.written()
        variables, answers = recording.of_images(self.build, self.sizes, value_of=self.value_of)
        model = {keys[name]: shape for name, shape in variables.items()}
        extras = {key: shape for key, shape in shapes.items() if key not in model and key != OBJECT_GRAPH}
        notes = f"every layer {NARROW} times narrower; {OBJECT_GRAPH} is in {self.name}.object_graph.gz, as bytes"
        description = self.describe(model, extras, notes, {keys["probs/kernel"]: HEAD_SCALE})
        self.record(description, answers)
        Path(recording.FOLDER, self.name + ".object_graph.gz").write_bytes(gzip.compress(graph))


def objects(name: str, module: str, function: str, facts: dict[str, str], *, of_checkpoint: bool = False) -> Case:
    """Return a case of tf.keras, its names those of save_weights or of tf.train.Checkpoint(model=...)."""

    def model_of(images: Any) -> Any:
        return tf_model(module, function, images, 1000, NARROW)

    saver = (
        "tf.train.Checkpoint(model=model)" if of_checkpoint else "model.save_weights(save_format='tf') after training"
    )
    return Objects(name, ORIGIN % module + "; written by " + saver, model_of, facts, of_checkpoint=of_checkpoint)


def written_by(
    model_of: Callable[[Any], Any], *, of_checkpoint: bool
) -> tuple[dict[str, list[int]], dict[str, str], bytes]:
    """Return what a checkpoint of a model holds: shapes by key, keys by variable, and its object graph's bytes."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session, tempfile.TemporaryDirectory() as folder:
        tf.compat.v1.keras.backend.set_session(session)
        images = tf.zeros([2, 64, 64, 3])
        model = model_of(images)
        variables = {variable.op.name for variable in model.weights}
        prefix = str(Path(folder, "model"))
        if of_checkpoint:
            session.run(tf.compat.v1.global_variables_initializer())
            prefix = tf.train.Checkpoint(model=model).save(prefix, session=session)
        else:
            train(model, session)
            model.save_weights(prefix, save_format="tf")
        reader = tf.train.load_checkpoint(prefix)
        shapes, graph = dict(reader.get_variable_to_shape_map()), reader.get_tensor(OBJECT_GRAPH)
    nodes = trackable_object_graph_pb2.TrackableObjectGraph.FromString(graph).nodes
    keys = {one.full_name: one.checkpoint_key for node in nodes for one in node.attributes}
    return shapes, {name: key for name, key in keys.items() if name in variables}, graph


def train(model: Any, session: Any) -> None:
    """Compile a model and take the step that makes its optimizer's slots."""
    labels = tf.zeros([2, 1], tf.int64)
    model.compile(tf.keras.optimizers.SGD(0.1, 0.9), "sparse_categorical_crossentropy", target_tensors=[labels])
    model._make_train_function()
    session.run(tf.compat.v1.global_variables_initializer())
