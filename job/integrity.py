"""Whether what came is what was stored: said of every artifact, as nobody can tell where no checksum is known."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from job.records import Digest, Finding, SourceSummary
from job.wording import shown

_REMEDY = "store the objects with checksums, put FILE.sha256 beside each, or list sha256: in the manifest"


def told(sources: Sequence[Digest]) -> str:
    """Return by which checksums an artifact's files were verified, ``unverified`` where one was by none."""
    if _unverified(sources):
        return "unverified"
    return f"verified by {', '.join(sorted({name for source in sources for name in source.verified_by}))}"


def noted(summary: SourceSummary, sources: Sequence[Digest], source_uri: str) -> SourceSummary:
    """Return the summary, with a warning where files have come over a network and no checksum of them was known."""
    findings = () if _is_path(source_uri) else tuple(_findings(sources))
    return replace(summary, findings=(*summary.findings, *findings))


def _findings(sources: Sequence[Digest]) -> Iterator[Finding]:
    if unverified := _unverified(sources):
        cause = f"source_integrity: unverified: no checksum is known of {shown(unverified, 3)}"
        yield Finding(code="source_unverified", cause=cause, remedy=_REMEDY, severity="warning")


def _unverified(sources: Sequence[Digest]) -> list[str]:
    return [source.key for source in sources if not source.verified_by]


def _is_path(uri: str) -> bool:
    return "://" not in uri or uri.startswith("file://")
