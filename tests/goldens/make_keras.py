"""Keras HDF5 files with the answers of the Keras that wrote them, into tests/goldens/keras/<keras version>.

Run under Python 3.7 with TensorFlow 1.15.5, once for each Keras (``pip install keras==2.2.4``, and 1.2.2 with pyyaml):
``python -m tests.goldens.make_keras tf``, ``… keras`` (with Keras 2.2.4, then 1.2.2).
"""

from __future__ import annotations  # Python 3.7 runs this

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent / "keras"

keras: Any = importlib.import_module("tensorflow.keras" if sys.argv[1:] == ["tf"] else "keras")
layers: Any = keras.layers


def sequential(*parts: Any) -> Any:
    """Return a model of layers one after another; Keras 1 takes no list."""
    model = keras.models.Sequential()
    for part in parts:
        model.add(part)
    return model


def masked_words() -> Any:
    """Words with padding through recurrent layers both ways."""
    return sequential(
        layers.Embedding(30, 6, mask_zero=True, input_length=9),
        layers.Bidirectional(layers.LSTM(4, return_sequences=True)),
        layers.TimeDistributed(layers.Dense(3, activation="hard_sigmoid")),
        layers.GRU(3),
    )


def channels_first() -> Any:
    """Channels before rows and columns, with an activation that looks at the last axis; Keras alone ran it on a CPU."""
    first = {"data_format": "channels_first"}
    return sequential(
        layers.Conv2D(4, 3, activation="relu", input_shape=(3, 8, 8), **first),
        layers.BatchNormalization(axis=1),
        layers.MaxPooling2D(**first),
        layers.UpSampling2D(**first),
        layers.Conv2DTranspose(2, 3, activation="softmax", **first),
    )


def bilinear() -> Any:
    """Up-sampling whose grid TensorFlow 1.14 moved."""
    return sequential(layers.Conv2D(3, 3, input_shape=(6, 6, 2)), layers.UpSampling2D((2, 3), interpolation="bilinear"))


def shared_and_nested() -> Any:
    """One layer and one model called twice, part of it frozen, two inputs and two outputs."""
    inputs = [layers.Input((5,), name=name) for name in ("right", "left")]
    inner = sequential(layers.Dense(4, input_shape=(4,)), layers.BatchNormalization(), layers.ReLU(1.5))
    inner.layers[0].trainable = False
    dense, last = layers.Dense(4, activation="tanh"), layers.Dense(2, name="score")
    return keras.models.Model(inputs, [last(inner(dense(one))) for one in inputs])


def stateful() -> Any:
    """A recurrent layer that goes on where it ended."""
    return sequential(layers.LSTM(4, stateful=True, batch_input_shape=(4, 5, 3)), layers.Dense(2))


def convolutional_rnn() -> Any:
    """Convolutions in time and space."""
    return sequential(layers.ConvLSTM2D(3, 3, padding="same", input_shape=(4, 6, 6, 2)), layers.Flatten())


def convolutions_1() -> Any:
    """Keras 1: convolutions in its words, one with a size of its own."""
    return sequential(
        layers.Convolution2D(4, 3, 3, activation="relu", border_mode="same", input_shape=(8, 8, 3)),
        layers.BatchNormalization(),
        layers.MaxPooling2D((2, 2)),
        layers.ZeroPadding2D((1, 2)),
        layers.Deconvolution2D(3, 3, 3, output_shape=(None, 11, 15, 3), subsample=(2, 2), border_mode="same"),
        layers.GlobalAveragePooling2D(),
    )


def theano_order_1() -> Any:
    """Keras 1: channels first, whose kernels were stored in another order."""
    return sequential(
        layers.Convolution2D(4, 3, 2, dim_ordering="th", input_shape=(3, 8, 8)), layers.Flatten(), layers.Dense(2)
    )


def words_1() -> Any:
    """Keras 1: recurrent layers of twelve and nine arrays."""
    return sequential(
        layers.Embedding(30, 6, input_length=9, mask_zero=True, dropout=0.2),
        layers.LSTM(5, return_sequences=True, dropout_W=0.2),
        layers.Bidirectional(layers.GRU(3)),
    )


def merged_1() -> Any:
    """Keras 1: a Sequential that begins with several models."""
    branches = [sequential(layers.Dense(4, input_dim=size, activation="relu")) for size in (3, 5)]
    return sequential(
        layers.Merge(branches, mode="concat"), layers.MaxoutDense(4, nb_feature=3), layers.Highway(), layers.SReLU()
    )


MODELS = {
    "tf": (masked_words, bilinear, shared_and_nested, stateful, convolutional_rnn),
    "2": (masked_words, channels_first, bilinear, shared_and_nested, stateful, convolutional_rnn),
    "1": (convolutions_1, theano_order_1, words_1, merged_1),
}


def fill(parts: Any, rng: np.random.RandomState) -> None:
    """Give every weight a value; variances are positive."""
    for layer in parts:
        if hasattr(layer, "layers"):
            fill(layer.layers, rng)
        elif layer.weights:
            values = [rng.normal(scale=0.4, size=value.shape) for value in layer.get_weights()]
            positive = [any(part in one.name for part in ("variance", "running_std")) for one in layer.weights]
            layer.set_weights([abs(v) + 0.5 if p else v for v, p in zip(values, positive)])  # noqa: B905 - Python 3.7 has no strict


def feed(shape: Any, *, words: bool, rng: np.random.RandomState) -> Any:
    """Return a batch of four; sentences end in padding."""
    shape = [4, *shape[1:]]
    if not words:
        return rng.normal(size=shape).astype("f4")
    ids = rng.randint(1, 30, shape)
    ids[1:, 6:] = 0
    return ids.astype("f4")


def main() -> None:
    """Write what this Keras can make."""
    if keras.__name__ == "keras" and keras.__version__.startswith("1"):
        keras.backend.set_image_dim_ordering("tf")
    kind = "tf" if keras.__name__ != "keras" else keras.__version__[0]
    folder = FOLDER / keras.__version__
    folder.mkdir(parents=True, exist_ok=True)
    for make in MODELS[kind]:
        keras.backend.clear_session()
        model, rng = make(), np.random.RandomState(7)
        fill(getattr(model, "flattened_layers", model.layers), rng)
        feeds = [feed(keras.backend.int_shape(one), words="words" in make.__name__, rng=rng) for one in model.inputs]
        said = model.predict(feeds if len(feeds) > 1 else feeds[0], batch_size=4)
        said = said if isinstance(said, list) else [said]
        model.save(str(folder / (make.__name__ + ".h5")))
        arrays = {f"in_{number}": value for number, value in enumerate(feeds)}
        arrays.update({f"out_{number}": value for number, value in enumerate(said)})
        np.savez_compressed(str(folder / make.__name__), **arrays)


if __name__ == "__main__":
    main()
