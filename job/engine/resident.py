"""Calls whose inputs are where the model runs, and whose answers stay there."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from numpy.typing import NDArray

from job.engine.graph import Edge
from job.engine.runners import Candidate
from job.engine.session_graph import SessionGraph, agreeing
from job.engine.source_graph import SourceGraph
from job.latency import Call
from job.records import Signature

Array = NDArray[Any]


def settling(device: str) -> Callable[[], None] | None:
    """Return what waits for all that was begun on a GPU; on a CPU a call returns when its answer is there."""
    return tf.test.experimental.sync_devices if device == "gpu" else None


def resident_call(candidate: Candidate, signature: Signature, feeds: Sequence[Array], device: str) -> Call:
    """Return a call of a SavedModel on one batch that is on the device; on a GPU it does not wait for the answer."""
    function, fed = candidate.callable(signature), candidate.tensors(signature, feeds)
    if device == "gpu":
        with tf.device("/GPU:0"):  # texts stay with the host, which soft placement allows
            fed = [tf.identity(tensor) for tensor in fed]

    def call() -> None:
        function(*fed)

    return call


class ResidentGraph(SessionGraph):
    """The original nodes in a session which reads its inputs from variables, and is not asked for its outputs.

    A Session takes no tensors of a GPU by itself. It waits for its device at the end of each call.
    """

    def __init__(self, source: SourceGraph, signature: Signature) -> None:
        self._held: dict[str, tuple[tf.Tensor, tf.Operation]] = {}
        group = next(each for each in agreeing(source) if signature.key in {one.key for one in each})
        super().__init__(source, group, "as_run")

    def call(self, signature: Signature, feeds: Sequence[Array]) -> Call:
        """Put a batch on the device and return the call that runs on it."""
        for spec, feed in zip(signature.inputs, feeds, strict=True):
            value, assign = self._held[self._tensor(spec.tensor).name]
            self._session.run(assign, {value: feed})
        switches = {self._fed[name]: value for name, value in self._source.switches_of(signature).items()}
        run = self._session.make_callable([self._tensor(spec.tensor).op for spec in signature.outputs], [*switches])
        constants = list(switches.values())
        return lambda: (run(*constants), None)[1]

    def _placeholder(self, edge: Edge) -> tf.Tensor:
        """Return a variable's value in place of an input."""
        specs = {spec.tensor: spec for signature in self.signatures for spec in signature.inputs}
        if edge.tensor not in specs:
            return super()._placeholder(edge)
        spec = specs[edge.tensor]
        handle = tf.raw_ops.VarHandleOp(dtype=spec.dtype, shape=tf.TensorShape(spec.shape))
        value = tf.compat.v1.placeholder(spec.dtype)
        read: tf.Tensor = tf.raw_ops.ReadVariableOp(resource=handle, dtype=spec.dtype)
        self._held[read.name] = value, tf.raw_ops.AssignVariableOp(resource=handle, value=value)
        return read
