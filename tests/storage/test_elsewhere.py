from pathlib import Path

import pytest

from job.errors import LocalIOError, NoInput, UsageError
from job.redaction import redacted
from job.storage import elsewhere, open_source, open_storage
from job.storage.local import LocalStorage


@pytest.mark.parametrize(
    ("uri", "remedy"),
    [
        ("https://tfhub.dev/google/imagenet/resnet_v1_50/1", "-o module.tar.gz https://tfhub.dev/…"),
        ("https://www.kaggle.com/models/google/bert", "tf-hub-format=compressed"),
        ("https://models.s3.eu-west-1.amazonaws.com/tf1/x", "write s3://models/tf1/x"),
        ("https://my.models.s3-us-west-2.amazonaws.com/x", "write s3://my.models/x"),
        ("https://s3.eu-west-1.amazonaws.com/models/x", "write s3://models/x"),
        ("https://models.s3.dualstack.us-east-1.amazonaws.com/x", "write s3://models/x"),
        ("https://s3.amazonaws.com/", "write s3://bucket/prefix"),
        ("https://[m/x", "download it first"),
        ("http://host/model.zip", "download it first"),
        ("gs://bucket/x", "AWS_ENDPOINT_URL_S3=https://storage.googleapis.com"),
        ("s3a://bucket/x", "write s3:// in its place"),
        ("S3://bucket/x", "write s3://bucket/x"),
        ("hdfs://host/x", "hdfs dfs -get"),
        ("abfss://box@account/x", "azcopy"),
        ("what://x", "use a path"),
        ("s3:/bucket/x", "write s3://bucket/x"),
        ("s3:bucket/x", "write s3://bucket/x"),
        ("arn:aws:s3:::bucket/x", "write s3://bucket/x"),
    ],
)
def test_what_is_no_uri_of_ours_is_told_what_to_write(uri: str, remedy: str) -> None:
    """Addresses of other stores, of web pages and of Hub modules get the line that helps."""
    with pytest.raises(UsageError) as caught:
        open_storage(uri)
    assert remedy in redacted(caught.value.remedy)  # as it is printed
    assert caught.value.where == uri


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and a home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    return tmp_path


def test_a_tilde_that_no_shell_has_replaced_is_told(home: Path) -> None:
    """``--dest=~/out`` makes no directory of that name; one that is there already is meant."""
    with pytest.raises(UsageError, match="write /home/me/out"):
        open_storage("~/out")
    (home / "~").mkdir()
    open_storage("~/out")


def test_a_tilde_of_nobody_is_told_too(home: Path) -> None:
    """There is no such user, and no traceback."""
    assert list(home.iterdir()) == []
    with pytest.raises(UsageError, match=r"the shell has left ~.*write the whole path"):
        open_storage("~nobody-of-this-name/out")


@pytest.mark.parametrize("contained", [True, False])
def test_a_container_without_the_directory_is_told_to_mount_it(
    monkeypatch: pytest.MonkeyPatch, *, contained: bool
) -> None:
    """Only in a container is a volume what is missing, and only where nothing of the path is there."""
    real = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: contained if path.name == ".dockerenv" else real(path))
    monkeypatch.setattr(elsewhere, "_MARKS", ("/.dockerenv",))
    assert ('mount it by `docker run -v "$PWD:/nowhere"`' in elsewhere.mount_missing("/nowhere/in")) is contained
    assert elsewhere.mount_missing("/tmp/none") == ""  # noqa: S108 - it is the path of a mount that is there
    assert elsewhere.mount_missing("nowhere/in") == ""
    assert ("docker run --user" in elsewhere.write_as_yourself()) is contained
    with pytest.raises(NoInput) as caught:
        open_source("/nowhere/in")
    assert ("mount it" in caught.value.remedy) is contained


def test_an_empty_directory_is_not_asked_for_itself(tmp_path: Path) -> None:
    """A directory that is there and empty is no misspelling of its own name."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoInput) as caught:
        open_source(str(tmp_path / "empty"))
    assert "did you mean" not in caught.value.remedy


def test_a_file_in_place_of_a_directory_is_called_that(tmp_path: Path) -> None:
    """A destination that is a file, or lies below one, is told so."""
    (tmp_path / "file").touch()
    for dest in ("file", "file/below"):
        with pytest.raises(LocalIOError, match="a file lies where a directory is wanted"):
            open_storage(str(tmp_path / dest)).supports_create_only()


def test_a_full_destination_is_what_is_named(tmp_path: Path) -> None:
    """It is the place that has no room which somebody must free, not the file that was on its way there."""
    (tmp_path / "model").write_bytes(b"graph")
    with pytest.raises(LocalIOError) as caught:
        LocalStorage(Path("/dev/full")).upload(tmp_path / "model", "key")
    assert caught.value.where.startswith("/dev/full")
