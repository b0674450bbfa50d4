"""Retired ops are replaced by today's: those that are not registered any more, or have no kernel left."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import tensorflow as tf
from tensorflow.python.framework import op_def_registry

from job.engine.graph import Graph, NodeDef
from job.engine.ops import compositions
from job.engine.ops.compositions import Tensors
from job.engine.ops.kernels import has_kernel
from job.engine.ops.replacing import Build, replace_node
from job.records import Finding

RECORDED: Final = "its answers are TensorFlow 1.15.5's, bit by bit"
RENAMED: Final = "TensorFlow's own definition says that it is the same op under its old name"


@dataclass(frozen=True, kw_only=True)
class Equivalent:
    """What stands in for a retired op.

    `takes` are its inputs' dtypes: an attribute's name, or the dtype itself; a function where a node
    decides how many there are. `defaults` fill attributes that an export stripped, which only the op's
    definition knew. `proof` says why the two are the same.
    """

    takes: tuple[str | tf.DType, ...] | Callable[[NodeDef], list[tf.DType]]
    build: Build
    defaults: Mapping[str, tf.DType] = field(default_factory=dict)
    proof: str = RECORDED

    def dtypes(self, node: NodeDef) -> list[tf.DType]:
        """Return the dtypes of a node's inputs."""
        if callable(self.takes):
            return self.takes(node)
        return [tf.as_dtype(node.attr[one].type) if isinstance(one, str) else one for one in self.takes]


def _fft(name: str) -> Equivalent:
    """``BatchFFT`` was merged into ``FFT``, which takes any rank since GraphDef version 15."""

    def build(_: NodeDef, inputs: Tensors) -> Tensors:
        return [getattr(tf.raw_ops, name)(input=inputs[0])]

    return Equivalent(takes=(tf.complex64,), build=build, proof=RENAMED)


def _crossed(node: NodeDef) -> list[tf.DType]:
    """Return the dtypes of the indices, values, shapes and dense columns of a cross."""
    places = [tf.int64] * node.attr["N"].i
    sparse, dense = ([tf.as_dtype(one) for one in node.attr[f"{kind}_types"].list.type] for kind in ("sparse", "dense"))
    return [*places, *sparse, *places, *dense]


EQUIVALENTS: Final[dict[str, Equivalent]] = {
    "CompareAndBitpack": Equivalent(takes=("T", "T"), build=compositions.compare_and_bitpack),
    "BoostedTreesBucketize": Equivalent(
        takes=lambda node: [tf.float32] * (2 * node.attr["num_features"].i), build=compositions.boosted_trees_bucketize
    ),
    "BucketizeWithInputBoundaries": Equivalent(
        takes=("T", tf.float32), build=compositions.bucketize_with_input_boundaries
    ),
    "Resampler": Equivalent(takes=("T", "T"), build=compositions.resampler, defaults={"T": tf.float32}),
    "ImageProjectiveTransform": Equivalent(takes=("dtype", tf.float32), build=compositions.image_projective_transform),
    "GatherTree": Equivalent(takes=("T", "T", tf.int32, "T"), build=compositions.gather_tree),
    "SparseFeatureCrossV2": Equivalent(takes=_crossed, build=compositions.sparse_feature_cross),
    "TopK": Equivalent(takes=("T",), build=compositions.top_k),
    **{f"Batch{name}": _fft(name) for name in ("FFT", "FFT2D", "FFT3D", "IFFT", "IFFT2D", "IFFT3D")},
}


def replace_retired(graph: Graph) -> tuple[Graph, dict[str, str]]:
    """Replace, in place, what cannot run and has an equivalent; returns the graph, and the replaced ops by node."""
    retired = {node.name: node.op for node in graph.of_type(*EQUIVALENTS) if not _runs(node)}
    for name, op in retired.items():
        node, equivalent = graph.nodes[name], EQUIVALENTS[op]
        for attribute, dtype in equivalent.defaults.items():
            if attribute not in node.attr:
                node.attr[attribute].type = dtype.as_datatype_enum
        replace_node(graph, node, equivalent.dtypes(node), equivalent.build)
    if not retired:
        return graph, {}
    replaced = Graph(graph.graph_def)
    replaced.recorded_shapes = graph.recorded_shapes
    return replaced, retired


def findings(replaced: Mapping[str, str], needed: Iterable[str]) -> tuple[Finding, ...]:
    """Return what was replaced of the nodes that some signature needs."""
    counts = Counter(replaced[name] for name in needed if name in replaced)
    return tuple(
        Finding(
            code="op_rewritten",
            cause=f"{count} node(s) of op {op}, which TensorFlow {tf.__version__} cannot run, were rewritten with ops"
            f" that it can: {EQUIVALENTS[op].proof}; so is the baseline, and parity does not prove this step",
            remedy="name answers of the original under `goldens` in the manifest to prove it",
        )
        for op, count in sorted(counts.items())
    )


def notes(said: Iterable[Finding]) -> Iterator[str]:
    """Yield what a parity result must say: it compares two graphs without the original ops."""
    if rewritten := [finding for finding in said if finding.code == "op_rewritten"]:
        yield (
            f"{len(rewritten)} kinds of retired ops were rewritten in the baseline too: parity proves the lift alone;"
            " why the rewriting is exact is told by the findings op_rewritten"
        )


def _runs(node: NodeDef) -> bool:
    return op_def_registry.get(node.op) is not None and has_kernel(node)
