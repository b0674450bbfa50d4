"""Requests by which TF Serving warms a model up while it loads it, so that no user waits for what comes first.

Serving asks them one by one (saved_model_warmup_util.cc), and does not load a model of which one fails: so each is
asked here first, of the model as it lies there.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from job.engine import runtime
from job.engine.assembling import read_source
from job.engine.prediction_log import predict_log, request_in
from job.engine.proof import reference
from job.engine.proof.answers import Answer, recalled
from job.engine.run_errors import RUN_ERRORS, message_of
from job.engine.runners import Candidate
from job.engine.source_graph import SourceGraph
from job.records import Signature
from job.requests import VerifyRequest, WarmUpRequest
from job.results import WarmUpResult
from job.warm_up import FILE

Array = NDArray[Any]

BATCHES: Final = (2, 4, 8, 16, 32)
"""Beside the sample's own batch: the sizes to which a compiled variant fills batches up, as far as servers batch."""

METHODS: Final = tuple(f"tensorflow/serving/{method}" for method in ("predict", "classify", "regress"))
"""Signatures to which Serving lets a ``PredictRequest`` through (predict_util.cc)."""

MOST_RECORDS: Final = 1000
"""Serving refuses a model with more (saved_model_warmup_util.h)."""

MOST_REAL_BYTES: Final = 1 << 20
"""A larger input is written as one value that all of its elements have, which takes no room."""

MOST_FED_BYTES: Final = 1 << 25
"""Of a request with more examples than the sample: what its inputs come to in a server's memory."""

BUDGET_S: Final = 120.0
"""After so long nothing new is asked: a server takes as long whenever it loads the model."""


def warm_up(request: WarmUpRequest) -> WarmUpResult:
    """Write the requests that the model answers, the smallest of each signature first."""
    runtime.configure("as_run", request.device)
    source = read_source(request.source)
    if source.writes_state:
        return WarmUpResult(reason="a call changes what the next one answers")
    candidate, end_s = Candidate(request.saved_model), time.monotonic() + BUDGET_S
    records, refusal = list[bytes](), "no sample of a signature that TF Serving takes requests to was answered"
    for signature, record in _wanted(source, request):
        if time.monotonic() > end_s or len(records) == MOST_RECORDS:
            break
        try:
            _ask(candidate, signature, record)
        except RUN_ERRORS as error:
            refusal = message_of(error)
        else:
            records.append(record)
    if not records:
        return WarmUpResult(reason=refusal)
    path = Path(request.saved_model, FILE)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return WarmUpResult(requests=len(records), size_bytes=path.stat().st_size)


def _wanted(source: SourceGraph, request: WarmUpRequest) -> Iterator[tuple[Signature, bytes]]:
    """Yield the smallest sample of each signature, and after these larger batches of one value."""
    asked = VerifyRequest(
        source=request.source, saved_model="", mode="exact", tolerance=0.0, reference=request.reference
    )
    answers = recalled(source, asked) if reference.exists(request.reference) else None
    signatures = [one for one in source.signatures if one.method in METHODS and answers and answers.of(one)]
    samples = [(one, _smallest(answers.of(one))) for one in signatures if answers]
    for signature, feeds in samples:
        yield signature, _record(signature, feeds)
    for signature, feeds in samples:
        for batch in BATCHES if _is_batched(signature, feeds) else ():
            if batch * sum(map(_bytes_of, feeds)) / len(feeds[0]) <= MOST_FED_BYTES and batch > len(feeds[0]):
                yield signature, _record(signature, feeds, batch)


def _smallest(answers: list[Answer]) -> tuple[Array, ...]:
    return min((answer.sample.feeds for answer in answers), key=lambda feeds: sum(feed.nbytes for feed in feeds))


def _is_batched(signature: Signature, feeds: tuple[Array, ...]) -> bool:
    """Tell whether all inputs have the batch in front, of any size."""
    free = [spec.shape is not None and spec.shape[:1] == (None,) for spec in signature.inputs]
    return bool(free) and all(free) and len({len(feed) for feed in feeds}) == 1 and all(feed.size for feed in feeds)


def _record(signature: Signature, feeds: tuple[Array, ...], batch: int = 0) -> bytes:
    """Return a request with the sample's inputs, or with `batch` examples of the value that each input begins with."""
    inputs = {}
    for spec, feed in zip(signature.inputs, feeds, strict=True):
        if batch or (_bytes_of(feed) > MOST_REAL_BYTES and feed.size):
            shape = [batch, *feed.shape[1:]] if batch else feed.shape
            inputs[spec.key] = tf.make_tensor_proto(feed.flat[0], dtype=spec.dtype, shape=shape)
        else:
            inputs[spec.key] = tf.make_tensor_proto(feed, dtype=spec.dtype)
    return predict_log(signature.key, inputs)


def _bytes_of(feed: Array) -> int:
    return sum(map(len, feed.flat)) if feed.dtype.kind == "O" else feed.nbytes


def _ask(candidate: Candidate, signature: Signature, record: bytes) -> None:
    """Ask the model what a record holds, as a server reads it."""
    _, inputs = request_in(record)
    candidate.run(signature, [np.asarray(tf.make_ndarray(inputs[spec.key])) for spec in signature.inputs])
