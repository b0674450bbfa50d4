"""What counts as proven, over both comparisons of a model."""

from dataclasses import replace

from job.errors import ParityFailed
from job.records import Commit, SourceSummary
from job.results import ParityResult
from job.wording import shown


def proven(exact: ParityResult, as_run: ParityResult) -> ParityResult:
    """Return the exact comparison, with the outputs that only ran with oneDNN taken from the other one.

    There both sides ran with oneDNN and were held to the exact tolerance (`OutputParity.method` says so).
    """
    instead = {(one.signature, one.output): one for one in as_run.outputs if one.method == "onednn"}
    if not instead:
        return exact
    outputs = tuple(instead.get((one.signature, one.output), one) for one in exact.outputs)
    verdicts = [one.verdict for one in outputs]
    verdict = next((one for one in ("failed", "not_run") if one in verdicts), "passed")
    return replace(
        exact,
        verdict=verdict,  # type: ignore[arg-type]  # mypy does not see that a tuple's members are these
        outputs=outputs,
        reason=next((one.reason for one in outputs if one.verdict == verdict and one.reason), ""),
        notes=(*exact.notes, *as_run.notes),
    )


def failure(parity: ParityResult) -> str:
    """Say how a model differs, and at which node it begins to where that was found."""
    first = parity.first_diverging
    where = f"; the first node that differs is {first.node} ({first.op}): {first.reason}" if first else ""
    return f"the SavedModel differs from the TF1 graph: {parity.reason}{where}"


def check_proven(parity: ParityResult | None, where: str = "") -> None:
    """Raise `ParityFailed`, which says why, where not all of a model was compared."""
    if parity is not None and parity.verdict == "passed":
        return
    outputs = parity.outputs if parity else ()
    names = [f"{one.signature}/{one.output}" for one in outputs if one.verdict == "not_run"]
    of = f" of {shown(names, 3)}" if names else ""
    why = (parity.reason if parity else "") or "nothing could be compared"
    remedy = "record `samples` for it in the manifest, and `goldens` if there are any, or leave out --require-proof"
    raise ParityFailed(f"the answers{of} were not compared: {why}", where=where, remedy=remedy)


def as_committed(commit: Commit) -> ParityResult:
    """Return what a commit says of the exact comparison: its verdict; the figures are in the report that it lists."""
    if commit.verdict == "passed":
        return ParityResult(mode="exact", verdict="passed")
    reason = "it was published so by an earlier run, whose report beside it says why"
    return ParityResult(mode="exact", verdict="not_run", reason=reason)


def unproven(summary: SourceSummary, parity: ParityResult, *verdicts: str) -> list[str]:
    """Return what the job added of its own and has one of the verdicts: keys of signatures, or ``free_batch``.

    Without it the model is made again: it costs itself, and not the artifact.
    """
    lacking = {output.signature for output in parity.outputs if output.verdict in verdicts}
    if lacking and any(finding.code == "batch_freed" for finding in summary.findings):
        return ["free_batch"]
    return [one.key for one in summary.signatures if one.beside and one.key in lacking]
