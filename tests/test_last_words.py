from pathlib import Path

from job.errors import BadInput, Denied
from job.last_words import MOST_BYTES, leave_words, of_error, of_run
from job.records import ArtifactReport
from tests.samples import ARTIFACT, UNPROVEN

FAILED = ArtifactReport(artifact=ARTIFACT, status="not_published", error=BadInput("cut", remedy="copy it").to_record())
PUBLISHED = ArtifactReport(artifact=ARTIFACT, status="published")


def test_an_engine_is_told_how_a_run_ended(tmp_path: Path) -> None:
    """The code, the counts and each failure with its remedy, a line each."""
    (tmp_path / "log").touch()
    leave_words(of_run([PUBLISHED, FAILED], 40), tmp_path / "log")
    assert (tmp_path / "log").read_text().splitlines() == [
        "exit code 40: 1 published, 0 already_published, 1 not_published",
        f"{ARTIFACT.name}: cut; copy it",
    ]


def test_an_engine_is_told_what_is_unproven(tmp_path: Path) -> None:
    """A pod that ended well says that it has published what nobody compared."""
    (tmp_path / "log").touch()
    leave_words(of_run([PUBLISHED, UNPROVEN], 0), tmp_path / "log")
    said = "exit code 0: 2 published, 0 already_published, 0 not_published, 1 unproven"
    assert (tmp_path / "log").read_text() == said


def test_an_engine_is_told_what_ended_a_job_before_its_artifacts(tmp_path: Path) -> None:
    """A missing permission is read off the pod, without its log."""
    (tmp_path / "log").touch()
    leave_words(of_error(Denied("no", where="s3://b")), tmp_path / "log")
    assert (tmp_path / "log").read_text() == "exit code 44, denied: no; s3://b"


def test_words_are_few_plain_and_without_secrets(tmp_path: Path) -> None:
    """Kubernetes takes 4,096 bytes; what is in an error's text steers no terminal and tells no secret."""
    (tmp_path / "log").touch()
    leave_words(["Authorization: Bearer canary-123456\x1b[2J", *["\u00e9" * 100] * 100], tmp_path / "log")
    written = (tmp_path / "log").read_bytes()
    assert len(written) <= MOST_BYTES
    assert b"canary" not in written
    assert b"\x1b" not in written


def test_where_no_engine_looks_nothing_is_written(tmp_path: Path) -> None:
    """A laptop has no such file, and gets none."""
    leave_words(["x"], tmp_path / "log")
    assert list(tmp_path.iterdir()) == []
