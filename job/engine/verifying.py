"""Parity: the published bytes against the original graph, in a process that made neither."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import tensorflow as tf
from numpy.typing import NDArray

from job import parity
from job.engine import reference, runtime
from job.engine.runners import Baseline, Candidate
from job.engine.samples import Sample, arrays_of, candidates, recorded
from job.engine.source_graph import SourceGraph, read_source
from job.errors import BadInput
from job.records import OutputParity, ParityResult, Signature, TensorSpec, VerifyRequest

Array = NDArray[Any]

AS_RUN_TOLERANCE: Final = 5e-2
"""As run, TensorFlow's own CPU fusions are up to 9e-3 off in TF1 as in TF2 (design §7); more is refused."""

FAR_OFF: Final = 1e-4
"""As-run deviations above this are named."""

BATCH_DEPENDENCE: Final = 1e-3

RUN_ERRORS: Final = (tf.errors.OpError, ValueError, TypeError)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the baseline said to one sample of one signature."""

    signature: Signature
    sample: Sample
    outputs: tuple[Array, ...]


def verify(request: VerifyRequest) -> ParityResult:
    """Compare every output of every signature on several samples.

    ``exact`` asks whether the conversion is exact, and writes the baseline's answers to
    ``request.reference``; ``as_run`` compares the candidate as its users run it with those.
    """
    runtime.configure(request.mode, request.device, request.seed)
    source = read_source(request.source)
    if request.mode == "as_run" and reference.exists(request.reference):
        answers, notes = tuple(_recalled(source, request)), tuple[str, ...]()
    else:
        answers, notes = _ask(source, request)
        reference.write(request.reference, ((one.signature.key, one.sample.name, one.outputs) for one in answers))
    tolerance = request.tolerance if request.mode == "exact" else max(AS_RUN_TOLERANCE, request.tolerance)
    candidate, outputs = Candidate(request.saved_model), list[OutputParity]()
    for signature in source.signatures:
        if source.writes_state and outputs:
            candidate = Candidate(request.saved_model)  # as fresh as the baseline was for this signature
        outputs += _judge(signature, answers, candidate, tolerance)
    outputs += _goldens(source, request, candidate)
    return ParityResult(
        mode=request.mode,
        verdict=_overall(outputs),
        outputs=tuple(outputs),
        reason=next((output.reason for output in sorted(outputs, key=_severity) if output.reason), ""),
        notes=(*notes, *_far_off(request, outputs)),
        environment=runtime.environment(request.mode, request.device),
    )


def _ask(source: SourceGraph, request: VerifyRequest) -> tuple[tuple[Answer, ...], tuple[str, ...]]:
    """Run the baseline on every signature's samples; returns the answers and what was noticed."""
    answers, notes = list[Answer](), list[str]()
    try:
        baseline = Baseline(source, request.mode)
    except RUN_ERRORS as error:
        raise BadInput(
            f"the original graph does not run: {_line(error)}", remedy="no conversion can be proven without it"
        ) from error
    for signature in source.signatures:
        if source.writes_state:
            baseline.reset()
        accepted, refusal = _accepted(baseline, source, signature, request)
        answers += accepted
        if accepted and not source.writes_state:
            notes += _noticed(baseline, accepted[0])
        if not accepted:
            notes.append(f"{signature.key}: no sample could be run ({refusal})")
    baseline.close()
    return tuple(answers), tuple(notes)


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
                refusal = _line(error)
                continue
            answers.append(Answer(signature=signature, sample=sample, outputs=outputs))
            break
    return answers, refusal


def _groups(source: SourceGraph, signature: Signature, request: VerifyRequest) -> Iterator[tuple[Sample, ...]]:
    if request.source.options.samples:
        yield (recorded(request.source.options.samples, signature),)
    else:
        yield from candidates(source, signature, request.seed)


def _recalled(source: SourceGraph, request: VerifyRequest) -> Iterator[Answer]:
    """Yield the exact run's answers, with their samples made again from the same seed."""
    said = reference.read(request.reference)
    for signature in source.signatures:
        for sample in (sample for group in _groups(source, signature, request) for sample in group):
            if (signature.key, sample.name) in said:
                yield Answer(signature=signature, sample=sample, outputs=said[signature.key, sample.name])


def _noticed(baseline: Baseline, answer: Answer) -> list[str]:
    """Ask twice, and ask for one example alone: a model at inference answers the same."""
    again = baseline.run(answer.signature, answer.sample.feeds)
    worst = max((_relative(first, second) for first, second in zip(answer.outputs, again, strict=True)), default=0.0)
    if worst > BATCH_DEPENDENCE:
        differ = f"two runs of the TF1 graph differ by {worst:.1e} of the scale"
        return [f"{answer.signature.key}: random, {differ} (dropout left on?)"]
    size = _batch_size(answer)
    if size < 2:
        return []
    try:
        alone = baseline.run(answer.signature, [feed[:1] for feed in answer.sample.feeds])
    except RUN_ERRORS:
        return []
    worst = max((_relative(whole[:1], one) for whole, one in zip(answer.outputs, alone, strict=True)), default=0.0)
    if worst <= BATCH_DEPENDENCE:
        return []
    differs = f"an example alone differs by {worst:.1e}"
    return [f"{answer.signature.key}: batch_dependent, {differs} (batch norm left in training mode?)"]


def _batch_size(answer: Answer) -> int:
    sizes = {array.shape[0] if array.ndim else 0 for array in (*answer.sample.feeds, *answer.outputs)}
    return sizes.pop() if len(sizes) == 1 else 0


def _relative(left: Array, right: Array) -> float:
    if left.dtype.kind != "f" or left.shape != right.shape or not left.size:
        return 0.0
    return parity.compare(left, right, tolerance=1.0).relative or 0.0


def _judge(
    signature: Signature, answers: Sequence[Answer], candidate: Candidate, tolerance: float
) -> Iterator[OutputParity]:
    mine = [answer for answer in answers if answer.signature.key == signature.key]
    if not mine:
        yield from (
            _not_run(signature, spec, "no sample that the TF1 graph accepts could be made")
            for spec in signature.outputs
        )
        return
    try:
        said = [candidate.run(signature, answer.sample.feeds) for answer in mine]
    except RUN_ERRORS as error:
        reason = f"the candidate fails where the TF1 graph answers: {_line(error)}"
        yield from (replace(_not_run(signature, spec, reason), verdict="failed") for spec in signature.outputs)
        return
    samples = tuple(answer.sample.name for answer in mine)
    for index, spec in enumerate(signature.outputs):
        pairs = [(answer.outputs[index], outputs[index]) for answer, outputs in zip(mine, said, strict=True)]
        yield _compared(signature, spec, pairs, samples, tolerance)


def _compared(
    signature: Signature,
    spec: TensorSpec,
    pairs: Sequence[tuple[Array, Array]],
    samples: tuple[str, ...],
    tolerance: float,
) -> OutputParity:
    found = parity.worst(
        [parity.compare(left, right, tolerance=parity.tolerance_for(left.dtype, tolerance)) for left, right in pairs]
    )
    return OutputParity(
        signature=signature.key,
        output=spec.key,
        tensor=spec.tensor,
        dtype=found.dtype,
        verdict=found.verdict,
        tolerance=found.tolerance,
        max_abs=found.max_abs,
        relative=found.relative,
        max_ulp=found.max_ulp,
        top1=found.top1,
        samples=samples,
        reason=found.reason,
    )


def _goldens(source: SourceGraph, request: VerifyRequest, candidate: Candidate) -> Iterator[OutputParity]:
    """Compare the candidate with outputs that the user recorded, by key or tensor name."""
    options = request.source.options
    if not (options.samples and options.goldens):
        return
    held = arrays_of(options.goldens)
    for signature in source.signatures:
        said = candidate.run(signature, recorded(options.samples, signature).feeds)
        for spec, array in zip(signature.outputs, said, strict=True):
            name = next((name for name in (f"{signature.key}/{spec.key}", spec.key, spec.tensor) if name in held), "")
            if name:
                yield replace(
                    _compared(signature, spec, [(held[name], array)], ("golden",), request.tolerance),
                    output=f"{spec.key} (golden)",
                )


def _not_run(signature: Signature, spec: TensorSpec, reason: str) -> OutputParity:
    return OutputParity(
        signature=signature.key,
        output=spec.key,
        tensor=spec.tensor,
        dtype=spec.dtype,
        verdict="not_run",
        tolerance=0.0,
        reason=reason,
    )


def _overall(outputs: Sequence[OutputParity]) -> Any:
    verdicts = {output.verdict for output in outputs}
    return "failed" if "failed" in verdicts else "not_run" if "not_run" in verdicts or not verdicts else "passed"


def _severity(output: OutputParity) -> int:
    return ("failed", "not_run", "passed").index(output.verdict)


def _far_off(request: VerifyRequest, outputs: Sequence[OutputParity]) -> Iterator[str]:
    worst = max((output.relative or 0.0 for output in outputs), default=0.0)
    if request.mode == "as_run" and worst > FAR_OFF:
        yield (
            f"as run with TensorFlow's defaults the model is {worst:.1e} of the scale away from exact arithmetic, "
            "as its TF1 graph is; TF_ENABLE_ONEDNN_OPTS=0 and Grappler's remapping off avoid it"
        )


def _line(error: Exception) -> str:
    text = str(getattr(error, "message", "") or error).strip()
    lines = [
        line
        for line in text.splitlines()
        if line.strip() and not line.startswith(("Graph execution", "Detected at", "<stack"))
    ]
    return lines[0][:240] if lines else type(error).__name__
