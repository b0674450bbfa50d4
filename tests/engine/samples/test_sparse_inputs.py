from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from job.engine.assembling import read_source
from job.engine.runners import Baseline
from job.engine.samples.making import candidates
from job.engine.samples.sparse_inputs import together
from job.engine.source_graph import SourceGraph
from job.records import ArtifactOptions
from tests.engine.models import Saver, ref, request_of, v1


def weighted(saved: Saver) -> SourceGraph:
    """Read a model whose inputs are the bare parts of two sparse tensors, with names that say nothing."""

    def build() -> None:
        parts = [
            (v1.placeholder(tf.int64, [None, 2], name=f"a{n}"), v1.placeholder(kind, [None], name=f"b{n}"))
            for n, kind in enumerate((tf.int64, tf.float32))
        ]
        size = v1.placeholder(tf.int64, [2], name="c")
        ids, weights = (tf.sparse.reorder(tf.SparseTensor(place, value, size)) for place, value in parts)
        found = v1.nn.embedding_lookup_sparse(ref("table", np.ones([6, 2], np.float32)), ids, None)
        tf.add(tf.reduce_sum(found), tf.sparse.reduce_sum(weights), name="y")

    inputs = {name: name for name in ("a0", "a1", "b0", "b1", "c")}
    return read_source(request_of(Path(saved(build).directory), ArtifactOptions(inputs=inputs, outputs={"y": "y"})))


def test_parts_are_found_by_the_ops_that_take_them(saved: Saver) -> None:
    """Indices and shape belong together because an op takes them so, whatever they are called."""
    source = weighted(saved)
    found = together(source.graph, source.signatures[0])
    assert {"indices", "values", "shape"} <= found[0].parts.keys()
    assert found[0].parts["shape"].key == "c"


def ragged() -> None:
    values = v1.placeholder(tf.float32, [None], name="x_values")
    splits = v1.placeholder(tf.int64, [None], name="x_row_splits")
    tf.reduce_sum(tf.RaggedTensor.from_row_splits(values, splits).to_tensor(), 1, name="y")


def test_row_splits_fit_their_values(saved: Saver) -> None:
    """Row splits begin at 0, never fall and end at the number of values; the graph takes them."""
    source = read_source(saved(ragged))
    (signature,) = source.signatures
    baseline = Baseline(source, "exact")
    for group in candidates(source, signature, 0):
        sample: Any = next(group)
        arrays = {spec.key: feed for spec, feed in zip(signature.inputs, sample.feeds, strict=True)}
        splits = arrays["x_row_splits"]
        assert (splits[0], splits[-1]) == (0, len(arrays["x_values"]))
        assert (np.diff(splits) >= 0).all()
        assert np.isfinite(baseline.run(signature, sample.feeds)[0]).all()
    baseline.close()
