"""An SSD over MobileNet v2, as the Object Detection API freezes one: anchors, decoded boxes, NMS by image and class."""

import math
from typing import Any, Final

import numpy as np
import tensorflow as tf

from tests.bench.layers import Array, Layers

CLASSES: Final = 20
DETECTIONS: Final = 100
ANCHORS: Final = 6  # a cell


def ssd(layers: Layers, images: Any) -> dict[str, Any]:
    """Build the detector; its outputs are boxes, scores and classes of the best `DETECTIONS` of each image."""
    boxes, logits, anchors = [], [], []
    for level, x in enumerate(_feature_maps(layers, images)):
        cells = x.shape[1]
        boxes.append(tf.reshape(layers.conv(x, 4 * ANCHORS, 1), [-1, cells * cells * ANCHORS, 4]))
        logits.append(tf.reshape(layers.conv(x, CLASSES * ANCHORS, 1), [-1, cells * cells * ANCHORS, CLASSES]))
        anchors.append(_anchors(cells, 0.2 + 0.15 * level))
    scores = tf.sigmoid(tf.concat(logits, 1) - 3.0)  # most anchors see nothing
    return _detections(_decoded(tf.concat(boxes, 1), np.concatenate(anchors)), scores)


def _feature_maps(layers: Layers, images: Any) -> list[Any]:
    """Return feature maps of 19, 10, 5, 3, 2 and 1 cells a side."""
    maps = layers.mobilenet_v2(images)
    for filters in (512, 256, 256, 128):
        narrow = layers.conv_bn(maps[-1], filters // 2, 1)
        maps.append(layers.conv_bn(narrow, filters, 3, 2))
    return maps


def _anchors(cells: int, scale: float) -> Array:
    """Return centres and sizes of a level's anchors, each a row: y, x, height, width."""
    centres = (np.arange(cells) + 0.5) / cells
    ratios = np.sqrt([1.0, 2.0, 0.5, 3.0, 1 / 3, 1.0])
    rows = [(y, x, scale / ratio, scale * ratio) for y in centres for x in centres for ratio in ratios]
    return np.array(rows, np.float32)


def _decoded(codes: Any, anchors: Array) -> Any:
    """Return corners: ymin, xmin, ymax, xmax."""
    offsets, sizes = tf.split(codes, 2, axis=2)
    centre = offsets / 10.0 * anchors[:, 2:] + anchors[:, :2]
    half = tf.exp(tf.minimum(sizes / 5.0, math.log(4))) * anchors[:, 2:] / 2.0
    return tf.clip_by_value(tf.concat([centre - half, centre + half], 2), 0.0, 1.0)


def _detections(boxes: Any, scores: Any) -> dict[str, Any]:
    found = tf.map_fn(
        lambda image: _of_image(*image),
        (boxes, scores),
        dtype=(tf.float32, tf.float32, tf.float32),
        parallel_iterations=32,
    )
    return dict(zip(("detection_boxes", "detection_scores", "detection_classes"), found, strict=True))


def _of_image(boxes: Any, scores: Any) -> tuple[Any, ...]:
    """Return the best boxes of one image over all classes, padded with zeros."""
    kept = [(tf.image.non_max_suppression(boxes, scores[:, one], DETECTIONS, 0.6, 0.3), one) for one in range(CLASSES)]
    corners = tf.concat([tf.gather(boxes, indices) for indices, _ in kept], 0)
    chances = tf.concat([tf.gather(scores[:, one], indices) for indices, one in kept], 0)
    classes = tf.concat([tf.fill(tf.shape(indices), float(one)) for indices, one in kept], 0)
    best, order = tf.nn.top_k(chances, tf.minimum(DETECTIONS, tf.size(chances)))
    missing = DETECTIONS - tf.size(best)
    return (
        tf.reshape(tf.pad(tf.gather(corners, order), [[0, missing], [0, 0]]), [DETECTIONS, 4]),
        tf.reshape(tf.pad(best, [[0, missing]]), [DETECTIONS]),
        tf.reshape(tf.pad(tf.gather(classes, order), [[0, missing]]), [DETECTIONS]),
    )
