"""Outputs that the user recorded, held against the candidate apart from the baseline."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from job.engine.proof.judging import compared, without_figures
from job.engine.run_errors import RUN_ERRORS, message_of
from job.engine.runners import Candidate
from job.engine.samples.making import arrays_of, recorded
from job.engine.source_graph import SourceGraph
from job.errors import UsageError
from job.nearest import meant
from job.records import Signature, TensorSpec
from job.requests import VerifyRequest
from job.results import OutputParity

Array = NDArray[Any]


def against_goldens(source: SourceGraph, request: VerifyRequest, tolerance: float) -> Iterator[OutputParity]:
    """Compare the candidate with outputs that the user recorded, by key or tensor name.

    Raises `UsageError` where they would not be used: without samples, or under names of no output.
    """
    options = request.source.options
    if not options.goldens:
        return
    if not options.samples:
        raise UsageError("`goldens` without `samples`", remedy="record in the manifest what they are the answers to")
    held, used = arrays_of(options.goldens), set[str]()
    for signature in (one for one in source.signatures if not one.beside):
        found = {
            spec: held.keys() & {f"{signature.key}/{spec.key}", spec.key, spec.tensor} for spec in signature.outputs
        }
        used.update(*found.values())
        goldens = {spec: [held[name] for name in sorted(names)] for spec, names in found.items() if names}
        for output in _against(goldens, signature, options.samples, request, tolerance):
            yield replace(output, output=f"{output.output} (golden)")
    if unused := sorted(held.keys() - used):
        known = [spec.key for signature in source.signatures for spec in signature.outputs]
        remedy = meant(unused[0], known, f"the outputs are {', '.join(known)}")
        raise UsageError(f"the goldens name no output: {', '.join(unused)}", remedy=remedy)


def _against(
    goldens: Mapping[TensorSpec, list[Array]],
    signature: Signature,
    samples: str,
    request: VerifyRequest,
    tolerance: float,
) -> Iterator[OutputParity]:
    """Compare one signature's recorded outputs with those of a candidate whose state no sample has changed."""
    if not goldens:
        return
    try:
        said = Candidate(request.saved_model).run(signature, recorded(samples, signature).feeds)
    except RUN_ERRORS as error:
        reason = f"the candidate refuses the recorded samples: {message_of(error)}"
        yield from (without_figures(signature, spec, "failed", reason) for spec in goldens)
        return
    for spec, array in zip(signature.outputs, said, strict=True):
        for golden in goldens.get(spec, ()):
            yield compared(signature, spec, [("golden", golden, array)], tolerance)
