import pytest

from job.integrity import noted, told
from job.records import Digest, Format, SourceSummary

SUMMARY = SourceSummary(format=Format.GRAPH_DEF)


def digest(key: str, *verified_by: str) -> Digest:
    return Digest(key=key, size_bytes=1, sha256="00", verified_by=verified_by)


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        ((digest("a", "md5"), digest("b", "crc64nvme", "md5")), "verified by crc64nvme, md5"),
        ((digest("a", "md5"), digest("b")), "unverified"),
        ((digest("a"),), "unverified"),
    ],
)
def test_an_artifact_is_verified_if_all_its_files_are(sources: tuple[Digest, ...], said: str) -> None:
    """One file that nobody knows a checksum of could be the one with the flipped bit."""
    assert told(sources) == said


@pytest.mark.parametrize("uri", ["s3://bucket/models", "s3://bucket/models.tar"])
def test_what_came_over_a_network_unverified_is_a_warning(uri: str) -> None:
    """The report names the files, and says how their next version could be verified."""
    (finding,) = noted(SUMMARY, [digest("a", "md5"), digest("b")], uri).findings
    assert (finding.code, finding.severity) == ("source_unverified", "warning")
    assert "source_integrity: unverified: no checksum is known of b" in finding.cause
    assert "sha256" in finding.remedy


@pytest.mark.parametrize(("uri", "verified_by"), [("s3://b/m", ("md5",)), ("/models", ()), ("file:///models", ())])
def test_what_is_verified_or_never_left_this_machine_is_none(uri: str, verified_by: tuple[str, ...]) -> None:
    """Files on a disk seldom have checksums beside them: that of every one would be noise."""
    assert noted(SUMMARY, [digest("a", *verified_by)], uri) == SUMMARY
