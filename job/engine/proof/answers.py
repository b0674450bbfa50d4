"""What the baseline says: to every signature's samples, and what is noticed on the way."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from job import parity
from job.engine.graph import edge_of
from job.engine.proof import reference
from job.engine.proof.randomness import REPEATS, difference, draw, has_random_ops
from job.engine.pruning import needed_by
from job.engine.run_errors import RUN_ERRORS, check_gpu_memory, message_of
from job.engine.runners import Baseline
from job.engine.runtime import Mode
from job.engine.samples.making import Sample, candidates, recorded
from job.engine.samples.mending import mend
from job.engine.source_graph import SourceGraph
from job.errors import BadInput, UsageError
from job.records import Signature, TensorSpec
from job.requests import VerifyRequest

Array = NDArray[Any]

NOTABLE: Final = 1e-3
"""Differences of this share of the scale are no rounding."""

MOST_DULL: Final = 6
"""How many samples of a group are tried for answers without NaN that are neither empty nor zero."""

DRAWS: Final = "draws"
"""The name under which a reference keeps what was drawn; no sample's."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the baseline said to one sample of one signature."""

    signature: Signature
    sample: Sample
    outputs: tuple[Array, ...]


@dataclass(frozen=True, kw_only=True)
class Answers:
    """All answers and what was noticed.

    `refusals` say, by signature, why no sample could be run. `random` are the keys of signatures that
    answer otherwise each time, with what they drew where that can be compared: for every output a
    matrix with a draw in each row.
    """

    said: tuple[Answer, ...]
    notes: tuple[str, ...] = ()
    refusals: Mapping[str, str] = field(default_factory=dict)
    random: Mapping[str, tuple[Array, ...]] = field(default_factory=dict)

    def of(self, signature: Signature) -> list[Answer]:
        """Return the answers of one signature."""
        return [answer for answer in self.said if answer.signature.key == signature.key]

    def unanswered(self, source: SourceGraph) -> list[str]:
        """Return the keys of the signatures to which there is no answer."""
        return [signature.key for signature in source.signatures if not self.of(signature)]

    def rows(self) -> Iterator[tuple[str, str, tuple[Array, ...]]]:
        """Yield what is kept of them, as `reference.write` takes it."""
        for one in self.said:
            yield one.signature.key, one.sample.name, (*one.sample.feeds, *one.outputs)
        for key, draws in self.random.items():
            yield key, DRAWS, draws or (np.zeros((0, 0)),)


def ask(source: SourceGraph, request: VerifyRequest, mode: Mode) -> Answers:
    """Run the baseline on every signature's samples.

    Raises `BadInput` where the original graph does not run, `UsageError` where recorded samples do not, and
    `Poison` where a GPU is too small for it.
    """
    try:
        baseline = Baseline(source, mode)
    except RUN_ERRORS as error:
        raise BadInput(
            f"the original graph does not run: {message_of(error)}", remedy="no conversion can be proven without it"
        ) from error
    said, notes, refusals = list[Answer](), list[str](), dict[str, str]()
    random = dict[str, tuple[Array, ...]]()
    for signature in source.signatures:
        answers, refusal = _answers(baseline, source, request, signature, said)
        said += answers
        if not answers:
            check_gpu_memory(refusal)
            refusals[signature.key] = refusal
            continue
        noticed = list(_noticed(baseline, source, answers[0]))
        notes += (f"{signature.key}: {kind}, {difference}" for kind, difference in noticed)
        if any(kind == "random" for kind, _ in noticed):
            random[signature.key] = _draws(baseline, source, answers[0])
    baseline.close()
    return Answers(said=tuple(said), notes=(*notes, *_only_zero(said)), refusals=refusals, random=random)


def recalled(source: SourceGraph, request: VerifyRequest) -> Answers:
    """Return the exact run's answers, with the samples that they are to."""
    by_key = {signature.key: signature for signature in source.signatures}
    said, random = list[Answer](), dict[str, tuple[Array, ...]]()
    for (key, name), arrays in reference.read(request.reference).items():
        count = len(by_key[key].inputs)
        if name == DRAWS:
            random[key] = arrays if len(arrays[0]) else ()
        else:
            sample = Sample(name=name, feeds=arrays[:count])
            said.append(Answer(signature=by_key[key], sample=sample, outputs=arrays[count:]))
    return Answers(said=tuple(said), random=random)


def _answers(
    baseline: Baseline, source: SourceGraph, request: VerifyRequest, signature: Signature, said: Sequence[Answer]
) -> tuple[list[Answer], str]:
    """Return the answers to a signature's samples, or why there are none.

    A freed batch without an answer in another size than the exported one would be passed unproven: it has none.
    """
    variants = [spec.tensor for spec in (*signature.inputs, *signature.outputs) if spec.dtype == "variant"]
    if variants:
        return [], f"{variants[0]} is a variant, which holds no numbers to feed or to compare"
    if source.writes_state:
        baseline.reset()
    exported = source.exported(signature)
    groups = _second_groups(baseline, source, signature, said) or _groups(source, exported, request)
    accepted, refusal = _accepted(baseline, source, exported, groups)
    _check_recorded(request, accepted, refusal)
    others = list(_other_sizes(accepted)) if accepted and exported != signature else []
    if accepted and (others or exported == signature):
        return [*accepted, *others], ""
    reason = "too few examples for a batch of another size" if accepted else refusal
    return [], f"{reason}; record some under `samples` in the manifest"


def _only_zero(said: Sequence[Answer]) -> Iterator[str]:
    """Name the float outputs that no sample made anything but zero: that they agree says little."""
    told = dict[str, bool]()
    for answer in said:
        for spec, output in zip(answer.signature.outputs, answer.outputs, strict=True):
            name = f"{answer.signature.key}/{spec.key}"
            told[name] = told.get(name, False) or output.dtype.kind != "f" or not output.size or bool(output.any())
    if silent := [name for name, is_told in told.items() if not is_told]:
        yield f"{', '.join(silent)}: zero in every sample, which proves little; record `samples` in the manifest"


def _accepted(
    baseline: Baseline, source: SourceGraph, signature: Signature, groups: Iterable[Iterable[Sample]]
) -> tuple[list[Answer], str]:
    """Return the first answer of every group of samples, or why the last, most cautious sample was refused."""
    answers, refusals = list[Answer](), ["there are no inputs to make"]
    one_try = source.writes_state or not signature.inputs or has_random_ops(source, signature)
    for group in groups:
        telling = _first_telling(_tried(baseline, signature, group, refusals), 1 if one_try else MOST_DULL)
        answers += telling
    return answers, refusals[-1]


def _tried(baseline: Baseline, signature: Signature, group: Iterable[Sample], refusals: list[str]) -> Iterator[Answer]:
    """Yield the baseline's answers, to samples of mended shapes as well; what it refuses goes to `refusals`."""
    queue = iter(group)
    mended = list[Sample]()
    while (sample := mended.pop() if mended else next(queue, None)) is not None:
        try:
            outputs = tuple(baseline.run(signature, sample.feeds))
        except RUN_ERRORS as error:
            refusals.append(message_of(error))
            mended += [] if sample.is_mended else mend(sample, refusals[-1])
            continue
        yield Answer(signature=signature, sample=sample, outputs=outputs)


def _first_telling(answers: Iterator[Answer], most: int) -> list[Answer]:
    """Return the first answer that says something, else the first of `most`; none where there is none."""
    tried = list[Answer]()
    for answer in itertools.islice(answers, most):
        tried.append(answer)
        if not any(map(_is_dull, answer.outputs)):
            return [answer]
    return tried[:1]


def _is_dull(output: Array) -> bool:
    """Whether an output is empty, zero everywhere, or holds NaN, as of values that an op does not take."""
    return not output.size or (output.dtype.kind == "f" and bool(np.isnan(output).any() or not output.any()))


def _check_recorded(request: VerifyRequest, accepted: list[Answer], refusal: str) -> None:
    if request.source.options.samples and not accepted:
        raise UsageError(
            f"the TF1 graph refuses the recorded samples: {refusal}", remedy="see `inspect` for its inputs"
        )


def _groups(source: SourceGraph, signature: Signature, request: VerifyRequest) -> Iterator[Iterable[Sample]]:
    if request.source.options.samples:
        yield (recorded(request.source.options.samples, signature),)
    else:
        yield from candidates(source, signature, request.seed)


def _other_sizes(accepted: Sequence[Answer]) -> Iterator[Answer]:
    """Yield examples with their answers in batches of other sizes than the one that they were answered in."""
    first = accepted[0]
    alike = [one for one in accepted if _inner_shapes(one) == _inner_shapes(first)]
    feeds = [np.concatenate(arrays) for arrays in zip(*(one.sample.feeds for one in alike), strict=True)]
    outputs = [np.concatenate(arrays) for arrays in zip(*(one.outputs for one in alike), strict=True)]
    fixed = len(first.sample.feeds[0])
    for size in sorted({1, 3, fixed + 1} - {fixed}):
        if size <= len(feeds[0]):
            sample = Sample(name=f"{size} of the others' examples", feeds=tuple(array[-size:] for array in feeds))
            yield Answer(signature=first.signature, sample=sample, outputs=tuple(array[-size:] for array in outputs))


def _inner_shapes(answer: Answer) -> list[tuple[int, ...]]:
    return [array.shape[1:] for array in (*answer.sample.feeds, *answer.outputs)]


def _second_groups(
    baseline: Baseline, source: SourceGraph, signature: Signature, said: Sequence[Answer]
) -> list[tuple[Sample, ...]]:
    """Return what an added signature's model computed, at the tensors that it takes, for the samples of its own one."""
    if not signature.beside:
        return []
    own = next((one for one in source.signatures if one.key == signature.beside), None)
    if own is None or not _is_behind(source, own, signature):
        return []
    before = replace(own, outputs=signature.inputs)
    samples = [answer.sample for answer in said if answer.signature.key == own.key]
    return [(Sample(name=sample.name, feeds=tuple(baseline.run(before, sample.feeds))),) for sample in samples]


def _is_behind(source: SourceGraph, own: Signature, added: Signature) -> bool:
    """Whether an added signature takes what its own one computes, and does not compute what that one takes."""
    computed = needed_by(source.graph, source.cut(own), (spec.tensor for spec in own.outputs))
    return all(edge_of(spec.tensor).node in computed for spec in added.inputs)


def _noticed(baseline: Baseline, source: SourceGraph, answer: Answer) -> Iterator[tuple[str, str]]:
    """Ask twice, and ask for one example alone: a model at inference answers the same."""
    signature, feeds = answer.signature, answer.sample.feeds
    draws_numbers = has_random_ops(source, signature)
    if source.writes_state and not draws_numbers:  # the next answer is another one by right
        return
    for _ in range(REPEATS if draws_numbers else 1):
        worst = difference(answer.outputs, baseline.run(signature, feeds))
        if worst > NOTABLE:
            yield "random", f"two runs of the TF1 graph differ by {worst:.1e} of the scale (dropout left on?)"
            return
    if not source.writes_state:
        yield from _noticed_alone(baseline, answer)


def _noticed_alone(baseline: Baseline, answer: Answer) -> Iterator[tuple[str, str]]:
    """Compare an example's answer in its batch with its answer alone, for the outputs that have a row for each."""
    pairs = list(zip(answer.sample.feeds, map(_is_batched, answer.signature.inputs), strict=True))
    sizes = {feed.shape[:1] for feed, is_batched in pairs if is_batched}
    if len(sizes) != 1 or sizes <= {(), (0,), (1,)}:  # an example is alone in its batch already
        return
    try:
        alone = baseline.run(answer.signature, [feed[:1] if is_batched else feed for feed, is_batched in pairs])
    except RUN_ERRORS:
        return
    worst = max((_off(*both, *sizes) for both in zip(answer.outputs, alone, strict=True)), default=0.0)
    if worst > NOTABLE:
        yield "batch_dependent", f"an example alone differs by {worst:.1e} (batch norm left in training mode?)"


def _is_batched(spec: TensorSpec) -> bool:
    return spec.shape is None or spec.shape[:1] == (None,)


def _off(whole: Array, one: Array, batch: tuple[int, ...]) -> float:
    """Return by which share of the scale a float output's first row differs; 0 where it has no row for each example."""
    if whole.shape[:1] != batch or one.shape != (1, *whole.shape[1:]):
        return 0.0
    return parity.compare(whole[:1], one, tolerance=1.0).relative or 0.0


def _draws(baseline: Baseline, source: SourceGraph, answer: Answer) -> tuple[Array, ...]:
    """Return draws to compare; none where answers drift for another reason than random numbers."""
    if source.writes_state or not has_random_ops(source, answer.signature):
        return ()
    return draw(lambda: baseline.run(answer.signature, answer.sample.feeds))
