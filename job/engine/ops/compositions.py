"""Ops that TensorFlow has retired, made of those that it has: the same numbers, rounding and special cases included.

Each function takes the retired node and the tensors that it is given, and returns the node's outputs.
`EQUIVALENTS` in the module of that name lists them; their answers are held against TensorFlow 1.15.5.
"""

from collections.abc import Sequence

import tensorflow as tf

from job.engine.graph import NodeDef, attribute

Tensors = Sequence[tf.Tensor]


def compare_and_bitpack(_: NodeDef, inputs: Tensors) -> Tensors:
    """Eight comparisons with a threshold become the bits of a byte, the first one its highest.

    A threshold changes nothing for booleans, which are their own bits.
    """
    values, threshold = inputs
    bits = values if values.dtype == tf.bool else tf.math.greater(values, threshold)
    shape = tf.shape(values)
    rows = tf.reshape(tf.cast(bits, tf.int32), tf.concat([shape[:-1], [shape[-1] // 8, 8]], axis=0))
    weights = tf.constant([128, 64, 32, 16, 8, 4, 2, 1], tf.int32)
    return [tf.cast(tf.reduce_sum(rows * weights, axis=-1), tf.uint8)]


def boosted_trees_bucketize(_: NodeDef, inputs: Tensors) -> Tensors:
    """Count the boundaries below a value; what lies above the last boundary shares the last bucket."""
    count = len(inputs) // 2
    return [
        tf.minimum(_search(tf.raw_ops.LowerBound, bounds, values), tf.size(bounds) - 1)
        for values, bounds in zip(inputs[:count], inputs[count:], strict=True)
    ]


def bucketize_with_input_boundaries(_: NodeDef, inputs: Tensors) -> Tensors:
    """Count the boundaries that are not above a value, once they are of its dtype: for integers 0.5 is 0."""
    values, bounds = inputs
    return [_search(tf.raw_ops.UpperBound, tf.cast(bounds, values.dtype), values)]


def resampler(_: NodeDef, inputs: Tensors) -> Tensors:
    """Sample an image between its pixels; beyond its border lies zero.

    `data` is ``[batch, height, width, channels]``, `warp` ``[batch, …, (x, y)]``.
    """
    data, warp = inputs
    size = tf.shape(data)
    x, y = tf.unstack(tf.reshape(warp, [size[0], -1, 2]), axis=-1)
    width, height = tf.cast(size[2], x.dtype), tf.cast(size[1], x.dtype)
    inside = (x > -1) & (y > -1) & (x < width) & (y < height)
    x, y = (tf.where(inside, at, tf.zeros_like(at)) for at in (x, y))
    left, top = tf.floor(x), tf.floor(y)
    dx, dy = left + 1 - x, top + 1 - y
    corners = (
        (dx * dy, left, top),
        ((1 - dx) * (1 - dy), left + 1, top + 1),
        (dx * (1 - dy), left, top + 1),
        ((1 - dx) * dy, left + 1, top),
    )
    first, *others = (weight[..., None] * _pixels(data, column, row) for weight, column, row in corners)
    total = first + others[0] + others[1] + others[2]
    sampled = tf.where(inside[..., None], total, tf.zeros_like(total))
    return [tf.reshape(sampled, tf.concat([tf.shape(warp)[:-1], size[3:]], axis=0))]


def image_projective_transform(node: NodeDef, inputs: Tensors) -> Tensors:
    """Transform images onto a canvas of their own size; what comes from outside is zero."""
    images, transforms = inputs
    return [
        tf.raw_ops.ImageProjectiveTransformV3(
            images=images,
            transforms=transforms,
            output_shape=tf.shape(images)[1:3],
            fill_value=0.0,
            interpolation=attribute(node, "interpolation").s,
            fill_mode="CONSTANT",
        )
    ]


def gather_tree(_: NodeDef, inputs: Tensors) -> Tensors:
    """Follow every beam's parents from its last step to the first; the end token follows itself.

    `ids` and `parents` are ``[time, batch, beam]``, `lengths` ``[batch]``.
    """
    ids, parents, lengths, end = inputs
    steps = tf.shape(ids)[0]
    lengths = tf.minimum(lengths, steps)[:, None]
    own = tf.zeros_like(ids[:1])[0] + tf.range(tf.shape(ids)[2])

    def back(step: tf.Tensor, beams: tf.Tensor, found: tf.TensorArray) -> tuple[tf.Tensor, tf.Tensor, tf.TensorArray]:
        is_within = step < lengths
        said = tf.where(is_within, tf.gather(ids[step], beams, batch_dims=1), end)
        parent = tf.where(is_within, tf.gather(parents[step], beams, batch_dims=1), beams)
        return step - 1, parent, found.write(step, said)

    found = tf.TensorArray(ids.dtype, size=steps, element_shape=ids.shape[1:])
    *_, found = tf.while_loop(lambda step, *_: step >= 0, back, [steps - 1, own, found], name="tf1lift_gather_tree")
    said = found.stack()
    is_over = tf.cumsum(tf.cast(tf.equal(said, end), tf.int32), exclusive=True) > 0
    return [tf.where(is_over, end, said)]


def batch_norm_with_global_normalization(node: NodeDef, inputs: Tensors) -> Tensors:
    """Normalise by given statistics; gamma counts only if the node says so."""
    values, mean, variance, beta, gamma = inputs
    scale = tf.math.rsqrt(variance + attribute(node, "variance_epsilon").f)
    scale = scale * gamma if attribute(node, "scale_after_normalization").b else scale
    return [(values - mean) * scale + beta]


def sparse_feature_cross(node: NodeDef, inputs: Tensors) -> Tensors:
    """Cross columns by the core's op, which was contrib's: given are indices, values, shapes and dense columns."""
    count, values = attribute(node, "N").i, len(attribute(node, "sparse_types").list.type)
    shapes = count + values
    return list(
        tf.raw_ops.SparseCross(
            indices=inputs[:count],
            values=inputs[count:shapes],
            shapes=inputs[shapes : shapes + count],
            dense_inputs=inputs[shapes + count :],
            hashed_output=attribute(node, "hashed_output").b,
            num_buckets=attribute(node, "num_buckets").i,
            hash_key=attribute(node, "hash_key").i,
            out_type=attribute(node, "out_type").type,
            internal_type=attribute(node, "internal_type").type,
        )
    )


def top_k(node: NodeDef, inputs: Tensors) -> Tensors:
    """Take k as an input instead of an attribute."""
    is_sorted = attribute(node, "sorted").b
    return list(tf.raw_ops.TopKV2(input=inputs[0], k=attribute(node, "k").i, sorted=is_sorted))


def quantize_and_dequantize(node: NodeDef, inputs: Tensors) -> Tensors:
    """Take the range as inputs instead of attributes."""
    low, high = (tf.constant(attribute(node, name).f, inputs[0].dtype) for name in ("input_min", "input_max"))
    return [
        tf.raw_ops.QuantizeAndDequantizeV2(
            input=inputs[0],
            input_min=low,
            input_max=high,
            signed_input=attribute(node, "signed_input").b,
            num_bits=attribute(node, "num_bits").i,
            range_given=attribute(node, "range_given").b,
        )
    ]


def conv_3d_backprop_input(node: NodeDef, inputs: Tensors) -> Tensors:
    """Take the result's shape instead of a tensor that has it."""
    values, kernel, gradient = inputs
    return [
        tf.raw_ops.Conv3DBackpropInputV2(
            input_sizes=tf.shape(values),
            filter=kernel,
            out_backprop=gradient,
            strides=list(attribute(node, "strides").list.i),
            padding=attribute(node, "padding").s,
        )
    ]


def random_poisson(node: NodeDef, inputs: Tensors) -> Tensors:
    """Draw as the rate's dtype, by the node's own seeds."""
    shape, rate = inputs
    seeds = [attribute(node, name).i for name in ("seed", "seed2")]
    return [tf.raw_ops.RandomPoissonV2(shape=shape, rate=rate, seed=seeds[0], seed2=seeds[1], dtype=rate.dtype)]


def tensor_array_pack(node: NodeDef, inputs: Tensors) -> Tensors:
    """Gather all elements."""
    handle, flow = inputs
    return [
        tf.raw_ops.TensorArrayGatherV3(
            handle=handle,
            indices=tf.range(tf.raw_ops.TensorArraySizeV3(handle=handle, flow_in=flow)),
            flow_in=flow,
            dtype=attribute(node, "dtype").type,
            element_shape=tf.TensorShape(attribute(node, "element_shape").shape),
        )
    ]


def tensor_array_unpack(_: NodeDef, inputs: Tensors) -> Tensors:
    """Scatter all rows."""
    handle, value, flow = inputs
    rows = tf.range(tf.shape(value)[0])
    return [tf.raw_ops.TensorArrayScatterV3(handle=handle, indices=rows, value=value, flow_in=flow)]


def _search(op: object, bounds: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Search each value among the bounds by one of TensorFlow's two ops, which take rows."""
    found = op(sorted_inputs=bounds[None, :], values=tf.reshape(values, [1, -1]))  # type: ignore[operator]
    return tf.reshape(found, tf.shape(values))


def _pixels(data: tf.Tensor, column: tf.Tensor, row: tf.Tensor) -> tf.Tensor:
    """Return the pixels at whole-numbered places, zero outside."""
    size = tf.shape(data)
    columns, rows = tf.cast(column, tf.int32), tf.cast(row, tf.int32)
    inside = (columns >= 0) & (rows >= 0) & (columns < size[2]) & (rows < size[1])
    images = tf.range(size[0])[:, None] + tf.zeros_like(rows)
    places = tf.stack([images, tf.where(inside, rows, 0), tf.where(inside, columns, 0)], axis=-1)
    found = tf.gather_nd(data, places)
    return tf.where(inside[..., None], found, tf.zeros_like(found))
