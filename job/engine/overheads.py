"""Models that compute nothing, called by the same ways as those that do: what Python and TensorFlow's entry cost."""

import tempfile
from collections.abc import Sequence
from typing import Any, Final

import tensorflow as tf
from numpy.typing import NDArray

from job.engine.contest import Contest, host_fed_call, session_call
from job.engine.lift import argument_names
from job.engine.runners import Candidate
from job.engine.runtime import session_config
from job.latency import UNSETTLED, Call, run_rounds, settled
from job.overheads import matters, own_times
from job.records import Signature
from job.results import OwnTime

EMPTY_SESSION: Final = "empty graph in a Session"
EMPTY_MODEL: Final = "empty SavedModel"
PROBE_S: Final = 0.2
"""Long enough for some thousand empty calls, and at least one of each contender."""


class UnsettledError(Exception):
    """The windows of a contender or of an empty call did not agree; the text says so."""


def overheads(contest: Contest, batch: int, budget_s: float, seed: int) -> tuple[OwnTime, ...]:
    """Return what each contender's call takes with and without its overhead; nothing where that does not matter.

    Raises `UnsettledError` where the windows of any, the empty ones among them, are not stable.
    """
    calls = contest.calls(batch) | _empty_calls(contest, batch)
    empty = {name: EMPTY_SESSION if name == "baseline" else EMPTY_MODEL for name in contest.names}
    probe = run_rounds(calls, PROBE_S)[-1]
    if not any(matters(probe[name].call_s, probe[nothing].call_s) for name, nothing in empty.items()):
        return ()
    measured, stable = settled(run_rounds(calls, budget_s))
    if not stable:
        raise UnsettledError(UNSETTLED)
    return own_times(measured, empty, seed=seed)


def _empty_calls(contest: Contest, batch: int) -> dict[str, Call]:
    signature, feeds = contest.inputs.signature, contest.inputs.batch(batch)
    answers = contest.baseline.run(signature, feeds)
    return {
        EMPTY_SESSION: session_call(_empty_session(signature, answers), feeds),
        EMPTY_MODEL: host_fed_call(_empty_model(signature, answers), signature, feeds),
    }


def _empty_session(signature: Signature, answers: Sequence[NDArray[Any]]) -> Any:
    """Return a Session's callable with a signature's inputs, which gives the same answers whatever it is fed."""
    with tf.Graph().as_default() as graph:
        inputs = [tf.compat.v1.placeholder(spec.dtype, spec.shape) for spec in signature.inputs]
        outputs = [tf.constant(answer) for answer in answers]
    return tf.compat.v1.Session(graph=graph, config=session_config("as_run")).make_callable(outputs, inputs)


def _empty_model(signature: Signature, answers: Sequence[NDArray[Any]]) -> Candidate:
    """Return a SavedModel, saved and loaded as all are, which gives the same answers whatever it is fed."""
    module, outputs = tf.Module(), dict(zip((spec.key for spec in signature.outputs), answers, strict=True))
    names = argument_names(signature)
    specs = [tf.TensorSpec(spec.shape, spec.dtype, name) for spec, name in zip(signature.inputs, names, strict=True)]
    answer = tf.function(lambda *_: {key: tf.constant(value) for key, value in outputs.items()}, input_signature=specs)
    with tempfile.TemporaryDirectory() as directory:
        tf.saved_model.save(module, directory, signatures={signature.key: answer})
        return Candidate(directory)
