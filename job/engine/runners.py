"""Run both sides: the baseline (the TF1 graph in a session) and the candidate (the TF2 SavedModel)."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from job.engine.lift import argument_names
from job.engine.runtime import Mode
from job.engine.session_graph import SessionGraph, agreeing
from job.engine.source_graph import SourceGraph
from job.records import Signature

Array = NDArray[Any]


class Baseline:
    """The original nodes, in a session, with state restored by the saver's own nodes.

    What computes an answer is not rewritten: switches are fed, pipelines are fed where they hand
    over, files that moved are fed by their new path. Only the saver's nodes lose their control
    inputs, so that nothing but restoring happens there. A tensor that one signature is fed and another one computes
    needs two sessions: signatures that agree share one. Each holds all variables, so that there is one session at a
    time, and a callable is good until another signature's is asked for.
    """

    def __init__(self, source: SourceGraph, mode: Mode) -> None:
        self._source, self._mode, self._groups = source, mode, agreeing(source)
        self._open = [SessionGraph(source, self._groups[0], mode)]

    def reset(self) -> None:
        """Give variables and tables the values that they were saved with."""
        for session in self._open:
            session.reset()

    def run(self, signature: Signature, feeds: Sequence[Array]) -> list[Array]:
        """Return the signature's outputs for one batch."""
        return [np.asarray(value) for value in self.callable(signature)(*feeds)]

    def callable(self, signature: Signature) -> Callable[..., list[Any]]:
        """Return a function of the inputs that runs the session as fast as TF1 can."""
        return self._session_of(signature).callable(signature)

    def close(self) -> None:
        """Free the session."""
        while self._open:
            self._open.pop().close()

    def _session_of(self, signature: Signature) -> SessionGraph:
        signatures = next(group for group in self._groups if signature.key in {one.key for one in group})
        if not any(session.signatures == signatures for session in self._open):
            self.close()
            self._open.append(SessionGraph(self._source, signatures, self._mode))
        return self._open[0]


class Candidate:
    """A SavedModel as its users load it."""

    def __init__(self, directory: str) -> None:
        self._loaded = tf.saved_model.load(directory)

    def run(self, signature: Signature, feeds: Sequence[Array]) -> list[Array]:
        """Return the signature's outputs for one batch."""
        return [np.asarray(tensor.numpy()) for tensor in self.callable(signature)(*self.tensors(signature, feeds))]

    def callable(self, signature: Signature) -> Callable[..., list[tf.Tensor]]:
        """Return a function of the inputs, as tensors, in the signature's order."""
        function, names = self._loaded.signatures[signature.key], argument_names(signature)
        keys = [spec.key for spec in signature.outputs]

        def call(*tensors: tf.Tensor) -> list[tf.Tensor]:
            outputs = function(**dict(zip(names, tensors, strict=True)))
            return [outputs[key] for key in keys]

        return call

    def tensors(self, signature: Signature, feeds: Sequence[Array]) -> list[tf.Tensor]:
        """Return a batch as tensors."""
        return [tf.constant(feed, dtype=spec.dtype) for feed, spec in zip(feeds, signature.inputs, strict=True)]
