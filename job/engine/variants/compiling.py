"""Let XLA compile a signature, for batches of some sizes only: it compiles anew for every shape that it meets."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import tensorflow as tf
from tensorflow.python.framework import kernels

from job.engine.graph import Graph
from job.engine.pruning import cut_at, prune
from job.engine.shapes import import_tensors
from job.engine.variants.base import FrozenGraph, NotApplicable
from job.engine.variants.faithful import Served
from job.engine.variants.tidying import CONTROL_FLOW
from job.engine.weightless import weightless
from job.wording import shown

Call = Callable[..., dict[str, tf.Tensor]]

COMPILER: Final = "XLA_CPU_JIT"
"""The device for which TensorFlow registers what XLA can compile, here where no GPU is looked for."""

BUILT_IN: Final = ("Placeholder", "Const", "NoOp")

PROBED: Final = (7, 11)
"""Sizes of batches that no model has for another reason."""

MOST_EXAMPLES: Final = 1 << 20
"""Batches of more examples than this are compiled as they come."""


def check_compilable(served: Served, frozen: FrozenGraph) -> None:
    """Raise `NotApplicable` where XLA has no code for an op, or would compile for shapes without end."""
    specs = (*served.arguments.values(), *served.outputs.values())
    batched = {spec.shape.rank is not None and spec.shape[:1].as_list() == [None] for spec in specs}
    inner = [spec.name for spec in served.arguments.values() if not spec.shape[1:].is_fully_defined()]
    if frozen.handles:
        raise NotApplicable("it looks things up in tables, which XLA cannot hold")
    if inner:
        raise NotApplicable(f"{shown(inner)} may have any size, and XLA compiles anew for each")
    if batched == {True, False}:
        raise NotApplicable("its batch is free in some of its inputs and outputs, and not in others")
    if ops := sorted(set(_without_kernel(frozen))):
        raise NotApplicable(f"XLA cannot compile {shown(ops)}")
    if True in batched and (others := sorted({*_of_another_size(served, frozen)})):
        raise NotApplicable(f"{shown(others)} may not be as long as the batch, which is filled up for XLA")


def _of_another_size(served: Served, frozen: FrozenGraph) -> Iterator[str]:
    """Yield the outputs whose leading dimension is not the batch's for all that TensorFlow can infer."""
    cut = cut_at(frozen.inputs, {})
    graph_def = weightless(prune(Graph(frozen.graph_def), cut, frozen.outputs))
    for size in PROBED:
        with tf.Graph().as_default():
            fed = {
                name: tf.compat.v1.placeholder(spec.dtype, [size, *spec.shape[1:]])
                for name, spec in zip(frozen.inputs, served.arguments.values(), strict=True)
            }
            found = import_tensors(graph_def, fed, frozen.outputs)
        for name, tensor in zip(served.outputs, found, strict=True):
            if tensor.shape.rank is None or tensor.shape[:1].as_list() != [size]:
                yield name


def compiled(call: Call, specs: Sequence[tf.TensorSpec]) -> Call:
    """Return a function that does what `call` does, compiled, for batches filled up to a power of two."""
    inner: Call = tf.function(call, input_signature=list(specs), autograph=False, jit_compile=True)
    if not specs or specs[0].shape[0] is not None:
        return inner
    sizes = tf.constant([1 << power for power in range(MOST_EXAMPLES.bit_length())], tf.int32)

    def in_batches(*arguments: tf.Tensor) -> dict[str, tf.Tensor]:
        count = tf.shape(arguments[0])[0]
        place = tf.searchsorted(sizes, count[tf.newaxis])[0]
        missing = tf.maximum(tf.gather(sizes, tf.minimum(place, len(sizes) - 1)) - count, 0)
        outputs = inner(*(_longer(argument, missing) for argument in arguments))
        return {key: output[:count] for key, output in outputs.items()}

    return in_batches


def _longer(argument: tf.Tensor, missing: tf.Tensor) -> tf.Tensor:
    first = tf.stack([0, missing])[tf.newaxis]
    return tf.pad(argument, tf.concat([first, tf.zeros([argument.shape.rank - 1, 2], tf.int32)], axis=0))


def _without_kernel(frozen: FrozenGraph) -> Iterator[str]:
    tf.function(tf.identity, jit_compile=True)(tf.zeros([]))  # TensorFlow registers them when it first compiles
    nodes = (*frozen.graph_def.node, *(node for one in frozen.graph_def.library.function for node in one.node_def))
    functions = {one.signature.name for one in frozen.graph_def.library.function}
    for op in {node.op for node in nodes} - functions - {*BUILT_IN}:
        registered = kernels.get_registered_kernels_for_op(op).kernel
        if op in CONTROL_FLOW or COMPILER not in {kernel.device_type for kernel in registered}:
            yield op
