import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import node_def_pb2

from job.engine.samples.encoded import encoded


def decoder(op: str, **attributes: int) -> node_def_pb2.NodeDef:
    node = node_def_pb2.NodeDef(name="decoder", op=op)
    for name, value in attributes.items():
        node.attr[name].i = value
    return node


@pytest.mark.parametrize(
    ("op", "channels", "shape"),
    [
        ("DecodeJpeg", 0, (33, 33, 3)), ("DecodeJpeg", 1, (33, 33, 1)), ("DecodePng", 4, (33, 33, 4)),
        ("DecodePng", 1, (33, 33, 1)), ("DecodeBmp", 0, (33, 33, 3)), ("DecodeBmp", 4, (33, 33, 4)),
        ("DecodeImage", 3, (33, 33, 3)), ("DecodeGif", 0, (1, 33, 33, 3)),
    ],
)  # fmt: skip
def test_images_decode_with_what_they_show(op: str, channels: int, shape: tuple[int, ...]) -> None:
    """Each format is taken by its op, in the size and with the channels asked for, and is no plain colour."""
    wanted = {} if op == "DecodeGif" else {"channels": channels}
    (file,) = encoded(np.random.default_rng(0), decoder(op, **wanted), 1, 33)
    pixels = getattr(tf.raw_ops, op)(contents=file, **wanted).numpy()
    assert pixels.shape == shape
    assert pixels.std() > 30


@pytest.mark.parametrize(("samples", "length"), [(-1, 16_000), (400, 400)])
def test_sounds_have_the_samples_asked_for(samples: int, length: int) -> None:
    """A sound is a second long unless the op asks for a length, and is not silent."""
    node = decoder("DecodeWav", desired_samples=samples, desired_channels=1)
    (file,) = encoded(np.random.default_rng(0), node, 1, 0)
    heard = tf.audio.decode_wav(file)[0].numpy()
    assert heard.shape == (length, 1)
    assert heard.std() > 0.1
