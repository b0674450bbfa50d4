"""What the baseline says: to every signature's samples, and what is noticed on the way."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import tensorflow as tf
from numpy.typing import NDArray

from job import parity
from job.engine import reference
from job.engine.runners import Baseline
from job.engine.samples import Sample, candidates, recorded
from job.engine.source_graph import SourceGraph
from job.errors import BadInput, UsageError
from job.records import Signature
from job.requests import VerifyRequest

Array = NDArray[Any]

RUN_ERRORS: Final = (tf.errors.OpError, ValueError, TypeError)
"""What running a graph raises."""

NOTABLE: Final = 1e-3
"""Differences of this share of the scale are no rounding."""

NO_MESSAGE: Final = ("Graph execution", "Detected at", "<stack", "Node:", "Original stack", "Traceback", "File ", "[[")
"""How the lines begin that TensorFlow puts around an op's own message."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the baseline said to one sample of one signature."""

    signature: Signature
    sample: Sample
    outputs: tuple[Array, ...]


@dataclass(frozen=True, kw_only=True)
class Answers:
    """All answers, what was noticed, and the keys of signatures that answer otherwise each time."""

    said: tuple[Answer, ...]
    notes: tuple[str, ...] = ()
    random: frozenset[str] = frozenset()

    def of(self, signature: Signature) -> list[Answer]:
        """Return the answers of one signature."""
        return [answer for answer in self.said if answer.signature.key == signature.key]


def ask(source: SourceGraph, request: VerifyRequest) -> Answers:
    """Run the baseline on every signature's samples.

    Raises `BadInput` where the original graph does not run, `UsageError` where recorded samples do not.
    """
    try:
        baseline = Baseline(source, request.mode)
    except RUN_ERRORS as error:
        raise BadInput(
            f"the original graph does not run: {message_of(error)}", remedy="no conversion can be proven without it"
        ) from error
    said, notes, random = list[Answer](), list[str](), set[str]()
    for signature in source.signatures:
        if source.writes_state:
            baseline.reset()
        accepted, refusal = _accepted(baseline, source, signature, request)
        said += accepted
        if not accepted:
            notes.append(f"{signature.key}: no sample could be run ({refusal})")
        elif not source.writes_state:
            noticed = list(_noticed(baseline, accepted[0]))
            notes += (f"{signature.key}: {kind}, {difference}" for kind, difference in noticed)
            random |= {signature.key for kind, _ in noticed if kind == "random"}
    baseline.close()
    return Answers(said=tuple(said), notes=tuple(notes), random=frozenset(random))


def recalled(source: SourceGraph, request: VerifyRequest) -> Answers:
    """Return the exact run's answers, with their samples made again from the same seed."""
    said = reference.read(request.reference)
    found = (
        Answer(signature=signature, sample=sample, outputs=said[signature.key, sample.name])
        for signature in source.signatures
        for group in _groups(source, signature, request)
        for sample in group
        if (signature.key, sample.name) in said
    )
    return Answers(said=tuple({(one.signature.key, one.sample.name): one for one in found}.values()))


def message_of(error: Exception) -> str:
    """Return the line of an error that says what went wrong."""
    text = str(getattr(error, "message", "") or error)
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith(NO_MESSAGE)]
    return lines[0][:240] if lines else type(error).__name__


def _accepted(
    baseline: Baseline, source: SourceGraph, signature: Signature, request: VerifyRequest
) -> tuple[list[Answer], str]:
    """Return the first answer of every group of samples, or why the last sample was refused."""
    answers, refusal = list[Answer](), "there are no inputs to make"
    for group in _groups(source, signature, request):
        for sample in group:
            try:
                outputs = tuple(baseline.run(signature, sample.feeds))
            except RUN_ERRORS as error:
                refusal = message_of(error)
                continue
            answers.append(Answer(signature=signature, sample=sample, outputs=outputs))
            break
    if request.source.options.samples and not answers:
        raise UsageError(
            f"the TF1 graph refuses the recorded samples: {refusal}", remedy="see `inspect` for its inputs"
        )
    return answers, refusal


def _groups(source: SourceGraph, signature: Signature, request: VerifyRequest) -> Iterator[tuple[Sample, ...]]:
    if request.source.options.samples:
        yield (recorded(request.source.options.samples, signature),)
    else:
        yield from candidates(source, signature, request.seed)


def _noticed(baseline: Baseline, answer: Answer) -> Iterator[tuple[str, str]]:
    """Ask twice, and ask for one example alone: a model at inference answers the same."""
    again = baseline.run(answer.signature, answer.sample.feeds)
    worst = max((_relative(first, second) for first, second in zip(answer.outputs, again, strict=True)), default=0.0)
    if worst > NOTABLE:
        yield "random", f"two runs of the TF1 graph differ by {worst:.1e} of the scale (dropout left on?)"
        return
    if _batch_size(answer) < 2:
        return
    try:
        alone = baseline.run(answer.signature, [feed[:1] for feed in answer.sample.feeds])
    except RUN_ERRORS:
        return
    worst = max((_relative(whole[:1], one) for whole, one in zip(answer.outputs, alone, strict=True)), default=0.0)
    if worst > NOTABLE:
        yield "batch_dependent", f"an example alone differs by {worst:.1e} (batch norm left in training mode?)"


def _batch_size(answer: Answer) -> int:
    sizes = {array.shape[0] if array.ndim else 0 for array in (*answer.sample.feeds, *answer.outputs)}
    return sizes.pop() if len(sizes) == 1 else 0


def _relative(left: Array, right: Array) -> float:
    if left.dtype.kind != "f" or left.shape != right.shape or not left.size:
        return 0.0
    return parity.compare(left, right, tolerance=1.0).relative or 0.0
