"""Parity: the published bytes against the original graph, in a process that made neither."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from job import distribution, parity
from job.engine import runtime
from job.engine.assembling import read_source
from job.engine.graph import edge_of
from job.engine.ops import equivalents
from job.engine.ops.published import check_written
from job.engine.proof import reference
from job.engine.proof.answers import Answers, ask, recalled
from job.engine.proof.bisection import first_diverging
from job.engine.proof.goldens import against_goldens
from job.engine.proof.judging import Pairs, compared, without_figures
from job.engine.proof.randomness import draw
from job.engine.run_errors import RUN_ERRORS, check_gpu_memory, message_of
from job.engine.runners import Candidate
from job.engine.runtime import Mode
from job.engine.source_graph import SourceGraph
from job.engine.structure import blaming
from job.records import Signature, TensorSpec
from job.requests import VerifyRequest
from job.results import DivergingNode, ErrorHistogram, OutputParity, ParityResult

Array = NDArray[Any]

AS_RUN_TOLERANCE: Final = 5e-2
"""As run, TensorFlow's own CPU fusions are up to 9e-3 off in TF1 as in TF2 (design §7); more is refused."""

METHODS: Final = {
    "seed": "random; both sides draw the same numbers from the graph's own seeds",
    "distribution": (
        "random, without a seed: compared by distribution, by a Kolmogorov-Smirnov test of up to 400 draws of each "
        "that refuses the same distribution less than once in a million"
    ),
    "onednn": (
        "baseline and candidate both ran with oneDNN: this device has no kernel for the graph without it; "
        "the tolerance is the exact one"
    ),
}
"""What `OutputParity.method` means in a report's notes."""

REDUCED_TOLERANCE: Final = 1e-2
"""What a variant of reduced precision may be off, of the output's scale (issue 6)."""

REDUCED_TOP1: Final = 0.995
"""The share of rows whose largest entry such a variant must leave in its place (issue 6)."""

FAR_OFF: Final = 1e-4
"""As-run deviations above this are named."""


def verify(request: VerifyRequest) -> ParityResult:
    """Compare every output of every signature on several samples.

    ``exact`` asks whether the conversion is exact, and writes the baseline's answers to
    ``request.reference``; ``as_run`` compares the candidate as its users run it with those, and a variant does so
    in either mode.
    """
    lacking = reference.unanswered(request.reference) if request.mode == "as_run" else frozenset[str]()
    mode: Mode = "exact" if lacking else request.mode
    runtime.configure(mode, request.device, request.seed, grappler=request.grappler)
    source = read_source(request.source)
    check_written(request.saved_model)
    answers = _answers(source, request, mode, lacking)
    outputs = tuple(_outputs(source, request, answers, lacking))
    verdict = _overall(outputs)
    return ParityResult(
        mode=request.mode,
        verdict=verdict,
        outputs=outputs,
        reason=next((output.reason for output in sorted(outputs, key=_severity) if output.reason), ""),
        notes=(*answers.notes, *_how(outputs), *_far_off(request, outputs), *equivalents.notes(source.findings)),
        environment=runtime.environment(request.mode, request.device),
        first_diverging=None
        if request.precision or request.mode != "exact"
        else _diverging(source, request, answers, outputs),
    )


def _answers(source: SourceGraph, request: VerifyRequest, mode: Mode, lacking: frozenset[str]) -> Answers:
    """Ask the baseline, or recall what it said; what it could not say without oneDNN it is asked with oneDNN."""
    if not request.precision and (request.mode == "exact" or not reference.exists(request.reference)):
        answers = ask(source, request, mode)
        reference.write(request.reference, answers.rows(), answers.unanswered(source))
        return answers
    known = recalled(source, request)
    if not lacking:
        return known
    asked = tuple(signature for signature in source.signatures if signature.key in lacking)
    new = ask(replace(source, signatures=asked), request, mode)
    random = {**known.random, **new.random}
    return Answers(said=(*known.said, *new.said), notes=new.notes, refusals=new.refusals, random=random)


def _outputs(
    source: SourceGraph, request: VerifyRequest, answers: Answers, lacking: frozenset[str]
) -> Iterator[OutputParity]:
    with blaming(source.graph.graph_def):
        candidate = Candidate(request.saved_model)
    for number, signature in enumerate(source.signatures):
        if source.writes_state and number:
            del candidate  # two of them may not fit
            candidate = Candidate(request.saved_model)  # as fresh as the baseline was for this signature
        alike = request.mode == "exact" or signature.key in lacking
        for output in _judge(source, signature, answers, candidate, _tolerance(request, alike=alike)):
            judged = _judged(request, output, alike=alike)
            needed_it = signature.key in lacking and judged.verdict != "not_run"
            yield replace(judged, method="onednn") if needed_it else judged
    del candidate
    alike = request.mode == "exact"
    for output in against_goldens(source, request, _tolerance(request, alike=alike)):
        yield _judged(request, output, alike=alike)


def _tolerance(request: VerifyRequest, *, alike: bool) -> float:
    """Return what a 32-bit float may be off; `alike` says that both sides ran with the same settings."""
    if request.precision == "reduced":
        return max(REDUCED_TOLERANCE, request.tolerance)
    return request.tolerance if alike or request.precision else max(AS_RUN_TOLERANCE, request.tolerance)


def _judged(request: VerifyRequest, output: OutputParity, *, alike: bool) -> OutputParity:
    if request.precision == "reduced":
        return _held_to_top1(output)
    return output if alike else _as_run(output)


def _held_to_top1(output: OutputParity) -> OutputParity:
    if output.verdict != "passed" or output.top1 is None or output.top1 >= REDUCED_TOP1:
        return output
    reason = f"{output.top1:.2%} of the rows keep their largest entry in its place, and {REDUCED_TOP1:.1%} must"
    return replace(output, verdict="failed", reason=reason)


def _judge(
    source: SourceGraph, signature: Signature, answers: Answers, candidate: Candidate, tolerance: float
) -> Iterator[OutputParity]:
    mine = answers.of(signature)
    if not mine:
        refusal = answers.refusals.get(signature.key, "there is no answer to compare with")
        reason = f"no sample could be run: {refusal}"
        yield from (without_figures(signature, spec, "not_run", reason) for spec in signature.outputs)
        return
    try:
        said = [candidate.run(signature, answer.sample.feeds) for answer in mine]
        drawn = _drawn(signature, answers, candidate)
    except RUN_ERRORS as error:
        check_gpu_memory(message_of(error))
        reason = f"the candidate fails where the TF1 graph answers: {message_of(error)}"
        yield from (without_figures(signature, spec, "failed", reason) for spec in signature.outputs)
        return
    for index, spec in enumerate(signature.outputs):
        pairs = [
            (answer.sample.name, answer.outputs[index], outputs[index])
            for answer, outputs in zip(mine, said, strict=True)
        ]
        found = compared(signature, spec, [*pairs, *_unsquashed(source, spec, pairs)], tolerance)
        if signature.key not in answers.random:
            yield _settled(found, signature, spec)
        elif found.verdict != "failed":
            yield replace(found, method="seed")
        else:
            draws = (answers.random[signature.key], drawn) if drawn else ((), ())
            yield _by_distribution(found, pairs, [side[index] for side in draws if side])


def _drawn(signature: Signature, answers: Answers, candidate: Candidate) -> tuple[Array, ...]:
    """Return as many draws of a random signature as the baseline made."""
    theirs = answers.random.get(signature.key, ())
    feeds = answers.of(signature)[0].sample.feeds
    return draw(lambda: candidate.run(signature, feeds), len(theirs[0])) if theirs else ()


def _settled(output: OutputParity, signature: Signature, spec: TensorSpec) -> OutputParity:
    """Pass what is empty or NaN on both sides where it can be nothing else: by its shape, or without inputs."""
    is_all = not signature.inputs or (spec.shape is not None and 0 in spec.shape)
    return replace(output, verdict="passed", reason="") if output.verdict == "not_run" and is_all else output


def _by_distribution(output: OutputParity, pairs: Pairs, draws: Sequence[Array]) -> OutputParity:
    """Judge a random output by what both sides drew; its form counts in any case."""
    if any(parity.mismatch_of_form(left, right) for _, left, right in pairs):
        return output
    figures = replace(output, max_abs=None, relative=None, max_ulp=None, top1=None, histogram=ErrorHistogram())
    blank = replace(figures, method="distribution", worst_sample="")
    if not draws or {side.shape for side in draws} != {draws[0].shape} or not draws[0].shape[1]:
        reason = "random, and of a kind whose draws cannot be compared: strings, changing shapes, or kept state"
        return replace(blank, verdict="not_run", reason=reason)
    found = distribution.distance(*draws, tolerance=output.tolerance or 1e-6)
    if found.is_same:
        return replace(blank, verdict="passed", reason="")
    said = f"{found.draws} draws of each differ in distribution: distance {found.largest:.2f} exceeds {found.limit:.2f}"
    return replace(blank, verdict="failed", reason=said)


def _unsquashed(source: SourceGraph, spec: TensorSpec, pairs: Pairs) -> Iterator[tuple[str, Array, Array]]:
    """Yield probabilities as logarithms too, which differ as the logits do.

    A saturated softmax or sigmoid hides errors (design §7), and a SavedModel's signature seldom
    gives its logits. Only where both sides are probabilities that a float can tell from 0 and 1.
    """
    squash = source.graph.nodes[source.graph.source_of(edge_of(spec.tensor)).node].op
    for sample, left, right in pairs:
        if squash not in ("Softmax", "Sigmoid") or left.dtype.kind != "f" or left.shape != right.shape:
            continue
        inside = (left > 1e-30) & (right > 1e-30) & (left < 1) & (right < 1)
        if inside.any():
            yield sample, np.log(left[inside]), np.log(right[inside])


def _as_run(output: OutputParity) -> OutputParity:
    """Whole numbers and strings tip over by rounding alone: reported, not judged, once arithmetic is reordered."""
    if output.verdict != "failed" or output.dtype.startswith(("float", "bfloat", "complex")):
        return output
    return replace(output, verdict="not_run", reason=f"not judged as run: {output.reason}")


def _overall(outputs: Sequence[OutputParity]) -> Any:
    verdicts = {output.verdict for output in outputs}
    return "failed" if "failed" in verdicts else "not_run" if "not_run" in verdicts or not verdicts else "passed"


def _severity(output: OutputParity) -> int:
    return ("failed", "not_run", "passed").index(output.verdict)


def _how(outputs: Sequence[OutputParity]) -> Iterator[str]:
    """Say of which outputs a verdict means something else than equal values."""
    for method, meaning in METHODS.items():
        keys = [f"{output.signature}/{output.output}" for output in outputs if output.method == method]
        if keys:
            yield f"{', '.join(keys)}: {meaning}"


def _diverging(
    source: SourceGraph, request: VerifyRequest, answers: Answers, outputs: Sequence[OutputParity]
) -> DivergingNode | None:
    """Return where the first failing output's values part, if it is one of values."""
    failed = next((one for one in outputs if one.verdict == "failed" and one.method == "values"), None)
    signature = next((one for one in source.signatures if failed and one.key == failed.signature), None)
    if failed is None or signature is None or not answers.of(signature) or source.writes_state:
        return None
    smallest = min(answers.of(signature), key=lambda answer: sum(feed.nbytes for feed in answer.sample.feeds))
    return first_diverging(source, request, signature, failed.tensor, smallest.sample.feeds)


def _far_off(request: VerifyRequest, outputs: Sequence[OutputParity]) -> Iterator[str]:
    worst = max((output.relative or 0.0 for output in outputs), default=0.0)
    if request.mode == "as_run" and worst > FAR_OFF and not request.precision:
        yield (
            f"as run with TensorFlow's defaults the model is {worst:.1e} of the scale away from exact arithmetic, "
            "as its TF1 graph is; TF_ENABLE_ONEDNN_OPTS=0 and Grappler's remapping off avoid it"
        )
