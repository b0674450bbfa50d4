"""Ops that TensorFlow has retired, each with inputs; run by TensorFlow 1.15.5 this module records their answers.

python -m tests.engine.ops.retired_ops    # needs TensorFlow 1.15.5 and Python 3.7; writes retired_ops.npz beside itself
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tensorflow.core.framework import graph_pb2
from tensorflow.python.framework import dtypes

RECORDED = Path(__file__).with_suffix(".npz")


class Case(NamedTuple):
    """One node: its op, the arrays that it takes and its attributes."""

    op: str
    arrays: "list[Any]"
    attributes: "dict[str, Any]"
    outputs: int = 1
    producer: int = 27


def graph_of(case: Case) -> graph_pb2.GraphDef:
    """Return a GraphDef of placeholders ``given_<n>`` and the node ``retired``."""
    graph_def = graph_pb2.GraphDef()
    graph_def.versions.producer = case.producer
    for index, array in enumerate(case.arrays):
        given = graph_def.node.add(name=f"given_{index}", op="Placeholder")
        given.attr["dtype"].type = dtypes.as_dtype(array.dtype).as_datatype_enum
    names = [f"given_{index}" for index in range(len(case.arrays))]
    node = graph_def.node.add(name="retired", op=case.op, input=names)
    for name, value in case.attributes.items():
        if isinstance(value, dtypes.DType):
            node.attr[name].type = value.as_datatype_enum
        elif isinstance(value, list):
            node.attr[name].list.type.extend(one.as_datatype_enum for one in value)
        elif isinstance(value, bool):
            node.attr[name].b = value
        elif isinstance(value, bytes):
            node.attr[name].s = value
        else:
            node.attr[name].i = value
    return graph_def


def _bits(dtype: Any) -> Case:
    values = np.array([[1, 2, 3, 4, 5, -1, 7, 3], [0, 9, 2, 2, 8, -3, 1, 5]]).astype(dtype)
    return Case("CompareAndBitpack", [values, np.array(2, dtype)], {"T": dtypes.as_dtype(dtype)})


def _resampled(dtype: Any) -> Case:
    random = np.random.RandomState(3)
    warp = random.uniform(-1.6, 6.5, [2, 7, 3, 2])
    warp[0, 0] = [[-1, 2], [4, 0], [0, 3]]
    warp[1, 0] = [[np.nan, 1], [3.5, -0.5], [-0.999, 3.999]]
    return Case(
        "Resampler", [random.randn(2, 4, 5, 3).astype(dtype), warp.astype(dtype)], {"T": dtypes.as_dtype(dtype)}
    )


def _projected(dtype: Any, interpolation: bytes) -> Case:
    random = np.random.RandomState(4)
    images = (random.rand(2, 5, 6, 3) * 200).astype(dtype)
    turn = [0.9, -0.3, 1.0, 0.3, 0.9, -0.5, 0.01, 0.002]
    shift = [1, 0, -2, 0, 1, 1.5, 0, 0]
    attributes = {"dtype": dtypes.as_dtype(dtype), "interpolation": interpolation}
    return Case("ImageProjectiveTransform", [images, np.array([turn, shift], np.float32)], attributes)


def _beams() -> Case:
    random = np.random.RandomState(5)
    ids, parents = random.randint(0, 6, [7, 3, 4]), random.randint(0, 4, [7, 3, 4])
    arrays = [ids, parents, np.array([7, 3, 9]), np.array(1)]
    return Case("GatherTree", [array.astype(np.int32) for array in arrays], {"T": dtypes.int32})


def _bounded(dtype: Any) -> Case:
    values = np.array([[-5, 0, 1, 2], [3, 9, 1, -2]]).astype(dtype)
    bounds = np.array([0, 0.5, 1, 2, 2.5, 3], np.float32)
    return Case("BucketizeWithInputBoundaries", [values, bounds], {"T": dtypes.as_dtype(dtype)})


def _crossed(dtype: Any, internal: Any, **attributes: Any) -> Case:
    """Cross two sparse columns and a dense one, of strings or of integers."""
    places = np.array([[0, 0], [0, 1], [1, 0]], np.int64)
    columns = [np.array([1, 2, 3]), np.array([4, 5, 6]), np.array([[7], [8]])]
    made = [column.astype(str).astype("S").astype(object) if dtype == dtypes.string else column for column in columns]
    arrays = [places, places, *made[:2], np.array([2, 2]), np.array([2, 2]), made[2]]
    types = {"sparse_types": [dtype, dtype], "dense_types": [dtype], "internal_type": internal}
    return Case("SparseFeatureCrossV2", arrays, {"N": 2, **types, **attributes}, 3)


_ODD = np.array([-5, 0, 1, 1.5, 2, 3, 9, np.nan, np.inf, -np.inf], np.float32)
_BOUNDS = np.array([0, 1, 2, 3], np.float32)
_ROWS = np.array([[True, False, True, True, False, False, False, True], [True] * 8])

CASES = {
    "bits_float32": _bits(np.float32),
    "bits_float16": _bits(np.float16),
    "bits_float64": _bits(np.float64),
    "bits_int8": _bits(np.int8),
    "bits_int64": _bits(np.int64),
    "bits_nan": Case("CompareAndBitpack", [_ODD[2:], np.array(1.5, np.float32)], {"T": dtypes.float32}),
    "bits_bool_false": Case("CompareAndBitpack", [_ROWS, np.array(False)], {"T": dtypes.bool}),
    "bits_bool_true": Case("CompareAndBitpack", [_ROWS, np.array(True)], {"T": dtypes.bool}),
    "trees": Case("BoostedTreesBucketize", [_ODD, _ODD[:3], _BOUNDS, _BOUNDS[1:]], {"num_features": 2}, outputs=2),
    "one_tree": Case("BoostedTreesBucketize", [_ODD, _BOUNDS], {"num_features": 1}),
    "bounded_odd": Case("BucketizeWithInputBoundaries", [_ODD, _BOUNDS], {"T": dtypes.float32}),
    "bounded_float64": _bounded(np.float64),
    "bounded_int32": _bounded(np.int32),
    "bounded_int64": _bounded(np.int64),
    "resampled_float32": _resampled(np.float32),
    "resampled_float64": _resampled(np.float64),
    "resampled_float16": _resampled(np.float16),
    "projected_nearest": _projected(np.float32, b"NEAREST"),
    "projected_bilinear": _projected(np.float32, b"BILINEAR"),
    "projected_uint8": _projected(np.uint8, b"BILINEAR"),
    "projected_int32": _projected(np.int32, b"NEAREST"),
    "beams": _beams(),
    "crossed_words": _crossed(
        dtypes.string, dtypes.string, hashed_output=False, num_buckets=0, hash_key=7, out_type=dtypes.string
    ),
    "crossed_hashes": _crossed(
        dtypes.int64, dtypes.int64, hashed_output=True, num_buckets=100, hash_key=956888297470, out_type=dtypes.int64
    ),
    "crossed_hashed_words": _crossed(
        dtypes.string, dtypes.string, hashed_output=True, num_buckets=0, hash_key=956888297470, out_type=dtypes.int64
    ),
    "top_k": Case("TopK", [np.array([[3, 1, 4, 1], [2, 7, 7, 8]], np.float32)], {"T": dtypes.float32, "k": 3}, 2, 6),
}


def plain(array: Any) -> Any:
    """Return strings in NumPy's own dtype: no pickle is read anywhere."""
    return array.astype("S") if array.dtype == object else array


def _record() -> None:
    """Run every case and keep its answers."""
    import tensorflow as tf  # noqa: PLC0415 - TensorFlow 1, as are the next
    from tensorflow.contrib import image, layers, resampler, seq2seq  # noqa: F401, PLC0415 - registers their ops
    from tensorflow.contrib.boosted_trees.python.ops import quantile_ops  # noqa: F401, PLC0415 - likewise

    answers = {}
    for name, case in CASES.items():
        with tf.Graph().as_default(), tf.Session() as session:
            tf.import_graph_def(graph_of(case), name="")
            feeds = {f"given_{index}:0": array for index, array in enumerate(case.arrays)}
            for output in range(case.outputs):
                answers[f"{name}/{output}"] = plain(session.run(f"retired:{output}", feeds))
    np.savez_compressed(RECORDED, **answers)


if __name__ == "__main__":
    _record()
