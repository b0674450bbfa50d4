"""Whether a file for Keras 3 answers as the TF1 graph did, by the tolerance of the SavedModel."""

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from job import parity
from job.engine.proof import reference
from job.engine.proof.answers import Answer, recalled
from job.engine.source_graph import SourceGraph
from job.records import KerasResult, Signature
from job.requests import KerasRequest, VerifyRequest

Array = NDArray[Any]

Call = Callable[[keras.Model, Mapping[str, Array]], Mapping[str, Array]]
"""Calls a model: inputs and outputs by their keys in the signature."""

SIGNATURE: Final = "serving_default"

KERAS_ERRORS: Final = (
    *(ValueError, TypeError, KeyError, IndexError, AttributeError, NotImplementedError, RuntimeError),
    tf.errors.OpError,
)
"""What Keras 3 raises for a model that it does not hold, while it is built, saved, loaded or called."""


class NotHeld(Exception):
    """Keras 3 cannot hold the model; the message says why."""


@contextmanager
def quietly() -> Iterator[None]:
    """Keras warns of old configurations and of NumPy's newest, none of which a user can change."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def prove(request: KerasRequest, source: SourceGraph, call: Call) -> KerasResult:
    """Load the file and compare it with what the baseline answered."""
    signature = signature_of(source)
    asked = VerifyRequest(
        source=request.source, saved_model="", mode="exact", tolerance=request.tolerance, reference=request.reference
    )
    answers = recalled(source, asked).of(signature) if reference.exists(request.reference) else []
    if not answers:
        return KerasResult(reason="there is no answer of the TF1 graph to compare with")
    try:
        model = keras.saving.load_model(request.file, compile=False, safe_mode=True)
        said = [_said(model, call, answer) for answer in answers]
    except KERAS_ERRORS as error:
        return KerasResult(reason=reason_of(error))
    return _judged(answers, said, request.tolerance)


def signature_of(source: SourceGraph) -> Signature:
    """Return the signature that the model is."""
    return next(one for one in source.signatures if one.key == SIGNATURE)


def array_of(tensor: Any) -> Array:
    """Return a result of Keras as an array."""
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def reason_of(error: Exception) -> str:
    """Return the line of an error that says what is wrong."""
    lines = [line.strip() for line in re.sub(r"\x1b\[\d+m|\{\{.*?\}\} ", "", str(error)).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith("Exception encountered")]
    return (told or [type(error).__name__])[0][:240]


def _said(model: keras.Model, call: Call, answer: Answer) -> list[Array]:
    """Return the outputs in the signature's order."""
    keys = (spec.key for spec in answer.signature.inputs)
    outputs = call(model, dict(zip(keys, answer.sample.feeds, strict=True)))
    return [outputs[spec.key] for spec in answer.signature.outputs]


def _judged(answers: Sequence[Answer], said: Sequence[Sequence[Array]], tolerance: float) -> KerasResult:
    pairs = [
        pair
        for answer, outputs in zip(answers, said, strict=True)
        for pair in zip(answer.outputs, outputs, strict=True)
    ]
    compared = [
        parity.compare(left, right, tolerance=parity.tolerance_for(left.dtype, tolerance)) for left, right in pairs
    ]
    worst = parity.worst(compared)
    reason = {
        "passed": "",
        "failed": f"its answers differ: {worst.reason}",
        "not_run": f"its answers cannot be compared: {worst.reason}",
    }[worst.verdict]
    return KerasResult(relative=worst.relative, reason=reason)
