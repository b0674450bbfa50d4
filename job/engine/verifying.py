"""Parity: the published bytes against the original graph, in a process that made neither."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from job import parity
from job.engine import reference, runtime
from job.engine.answers import RUN_ERRORS, Answer, Answers, ask, message_of, recalled
from job.engine.graph import edge_of
from job.engine.runners import Candidate
from job.engine.samples import arrays_of, recorded
from job.engine.source_graph import SourceGraph, read_source
from job.errors import UsageError
from job.records import OutputParity, ParityResult, Signature, TensorSpec
from job.requests import VerifyRequest

Array = NDArray[Any]
Pairs = Sequence[tuple[Array, Array]]

AS_RUN_TOLERANCE: Final = 5e-2
"""As run, TensorFlow's own CPU fusions are up to 9e-3 off in TF1 as in TF2 (design §7); more is refused."""

FAR_OFF: Final = 1e-4
"""As-run deviations above this are named."""


def verify(request: VerifyRequest) -> ParityResult:
    """Compare every output of every signature on several samples.

    ``exact`` asks whether the conversion is exact, and writes the baseline's answers to
    ``request.reference``; ``as_run`` compares the candidate as its users run it with those.
    """
    runtime.configure(request.mode, request.device, request.seed)
    source = read_source(request.source)
    if request.mode == "as_run" and reference.exists(request.reference):
        answers = recalled(source, request)
    else:
        answers = ask(source, request)
        reference.write(request.reference, ((one.signature.key, one.sample.name, one.outputs) for one in answers.said))
    outputs = tuple(_outputs(source, request, answers))
    return ParityResult(
        mode=request.mode,
        verdict=_overall(outputs),
        outputs=outputs,
        reason=next((output.reason for output in sorted(outputs, key=_severity) if output.reason), ""),
        notes=(*answers.notes, *_far_off(request, outputs)),
        environment=runtime.environment(request.mode, request.device),
    )


def _outputs(source: SourceGraph, request: VerifyRequest, answers: Answers) -> Iterator[OutputParity]:
    tolerance = request.tolerance if request.mode == "exact" else max(AS_RUN_TOLERANCE, request.tolerance)
    candidate = Candidate(request.saved_model)
    for number, signature in enumerate(source.signatures):
        if source.writes_state and number:
            candidate = Candidate(request.saved_model)  # as fresh as the baseline was for this signature
        for output in _judge(source, signature, answers, candidate, tolerance):
            yield _as_run(output) if request.mode == "as_run" else output
    for output in _goldens(source, request, candidate, tolerance):
        yield _as_run(output) if request.mode == "as_run" else output


def _judge(
    source: SourceGraph, signature: Signature, answers: Answers, candidate: Candidate, tolerance: float
) -> Iterator[OutputParity]:
    mine = answers.of(signature)
    if not mine:
        reason = "no sample that the TF1 graph accepts could be made"
        yield from (_without_figures(signature, spec, "not_run", reason) for spec in signature.outputs)
        return
    try:
        said = [candidate.run(signature, answer.sample.feeds) for answer in mine]
    except RUN_ERRORS as error:
        reason = f"the candidate fails where the TF1 graph answers: {message_of(error)}"
        yield from (_without_figures(signature, spec, "failed", reason) for spec in signature.outputs)
        return
    for index, spec in enumerate(signature.outputs):
        pairs = [(answer.outputs[index], outputs[index]) for answer, outputs in zip(mine, said, strict=True)]
        compared = _compared(signature, spec, [*pairs, *_unsquashed(source, spec, pairs)], _names(mine), tolerance)
        yield _excused(compared) if signature.key in answers.random else compared


def _compared(
    signature: Signature, spec: TensorSpec, pairs: Pairs, samples: tuple[str, ...], tolerance: float
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


def _unsquashed(source: SourceGraph, spec: TensorSpec, pairs: Pairs) -> Iterator[tuple[Array, Array]]:
    """Yield probabilities as logarithms too, which differ as the logits do.

    A saturated softmax or sigmoid hides errors (design §7), and a SavedModel's signature seldom
    gives its logits. Only where both sides are probabilities that a float can tell from 0 and 1.
    """
    squash = source.graph.nodes[source.graph.source_of(edge_of(spec.tensor)).node].op
    for left, right in pairs:
        if squash not in ("Softmax", "Sigmoid") or left.dtype.kind != "f" or left.shape != right.shape:
            continue
        inside = (left > 1e-30) & (right > 1e-30) & (left < 1) & (right < 1)
        if inside.any():
            yield np.log(left[inside]), np.log(right[inside])


def _excused(output: OutputParity) -> OutputParity:
    """A model that answers otherwise each time cannot be compared answer by answer (fault 48)."""
    if output.verdict != "failed":
        return output
    return replace(output, verdict="not_run", reason="random: two runs of the TF1 graph itself do not agree")


def _as_run(output: OutputParity) -> OutputParity:
    """Whole numbers and strings tip over by rounding alone: reported, not judged, once arithmetic is reordered."""
    if output.verdict != "failed" or output.dtype.startswith(("float", "bfloat", "complex")):
        return output
    return replace(output, verdict="not_run", reason=f"not judged as run: {output.reason}")


def _goldens(
    source: SourceGraph, request: VerifyRequest, candidate: Candidate, tolerance: float
) -> Iterator[OutputParity]:
    """Compare the candidate with outputs that the user recorded, by key or tensor name.

    Raises `UsageError` where they would not be used: without samples, or under names of no output.
    """
    options = request.source.options
    if not options.goldens:
        return
    held, used = arrays_of(options.goldens), set[str]()
    if not options.samples:
        raise UsageError("`goldens` without `samples`", remedy="record in the manifest what they are the answers to")
    for signature in source.signatures:
        said = candidate.run(signature, recorded(options.samples, signature).feeds)
        for spec, array in zip(signature.outputs, said, strict=True):
            for name in {f"{signature.key}/{spec.key}", spec.key, spec.tensor} & held.keys():
                used.add(name)
                golden = _compared(signature, spec, [(held[name], array)], ("golden",), tolerance)
                yield replace(golden, output=f"{spec.key} (golden)")
    if unused := sorted(held.keys() - used):
        known = ", ".join(spec.key for signature in source.signatures for spec in signature.outputs)
        raise UsageError(f"the goldens name no output: {', '.join(unused)}", remedy=f"the outputs are {known}")


def _without_figures(
    signature: Signature, spec: TensorSpec, verdict: Literal["failed", "not_run"], reason: str
) -> OutputParity:
    return OutputParity(
        signature=signature.key,
        output=spec.key,
        tensor=spec.tensor,
        dtype=spec.dtype,
        verdict=verdict,
        tolerance=0.0,
        reason=reason,
    )


def _names(answers: Sequence[Answer]) -> tuple[str, ...]:
    return tuple(answer.sample.name for answer in answers)


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
