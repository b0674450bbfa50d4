"""Encoded images and sounds that decode."""

from typing import Any, Final

import numpy as np
import tensorflow as tf

from job.engine.graph import NodeDef, attribute

Rng = np.random.Generator

IMAGE_OPS: Final = ("DecodeJpeg", "DecodePng", "DecodeImage", "DecodeBmp", "DecodeGif", "DecodeAndCropJpeg")
DECODERS: Final = (*IMAGE_OPS, "DecodeWav")

RATE_HZ: Final = 16_000
"""What speech models are trained with; they take a second of it."""


def encoded(rng: Rng, decoder: NodeDef, count: int, side: int) -> list[bytes]:
    """Return files that a decoder takes: sounds of one second, or square images of noise with a gradient."""
    if decoder.op == "DecodeWav":
        return [_sound(rng, decoder) for _ in range(count)]
    return [_image(rng, decoder, side) for _ in range(count)]


def _image(rng: Rng, decoder: NodeDef, side: int) -> bytes:
    channels = int(attribute(decoder, "channels").i) if decoder.op != "DecodeGif" else 3
    shown = channels or 3
    gradient = np.linspace(0, 200, side)[:, None, None] + rng.integers(0, 56, (side, side, shown))
    pixels = gradient.astype(np.uint8)
    if decoder.op == "DecodeGif":
        return _gif(pixels)
    if decoder.op == "DecodeBmp":
        return _bmp(pixels)
    if decoder.op == "DecodePng" or shown == 4:
        return bytes(tf.io.encode_png(pixels).numpy())
    return bytes(tf.io.encode_jpeg(pixels).numpy())


def _bmp(pixels: Any) -> bytes:
    """Write an uncompressed bitmap with rows from the bottom, each filled up to four bytes."""
    height, width, channels = pixels.shape
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]
    padding = b"\0" * (-width * channels % 4)
    rows = b"".join(row[:, order].tobytes() + padding for row in pixels[::-1])
    header = np.array([14 + 40 + len(rows), 0, 54, 40, width, height], "<i4").tobytes()
    return b"BM" + header + np.array([1, 8 * channels], "<i2").tobytes() + bytes(24) + rows


def _gif(pixels: Any) -> bytes:
    """Write one frame without compression: codes of nine bits that never grow, since each tenth of them clears."""
    height, width, _ = pixels.shape
    size = np.array([width, height], "<i2").tobytes()
    palette = bytes(level for level in range(256) for _ in range(3))
    codes = [code for index, level in enumerate(pixels[..., 0].ravel()) for code in _lzw(index, int(level))]
    bits = "".join(format(code, "09b")[::-1] for code in [*codes, 257])
    bits += "0" * (-len(bits) % 8)
    data = bytes(int(bits[place : place + 8][::-1], 2) for place in range(0, len(bits), 8))
    blocks = b"".join(bytes([len(block)]) + block for block in (data[i : i + 255] for i in range(0, len(data), 255)))
    return b"GIF89a" + size + b"\xf7\0\0" + palette + b"," + bytes(4) + size + b"\0\x08" + blocks + b"\0;"


def _lzw(index: int, level: int) -> list[int]:
    return [256, level] if index % 100 == 0 else [level]


def _sound(rng: Rng, decoder: NodeDef) -> bytes:
    wanted = int(attribute(decoder, "desired_samples").i)
    samples = wanted if wanted > 0 else RATE_HZ
    channels = max(int(attribute(decoder, "desired_channels").i), 1)
    tone = np.sin(np.arange(samples) * rng.uniform(0.05, 0.5)) * 0.5 + rng.normal(size=samples) * 0.1
    heard = np.clip(np.repeat(tone[:, None], channels, 1), -1, 1).astype(np.float32)
    return bytes(tf.audio.encode_wav(heard, RATE_HZ).numpy())
