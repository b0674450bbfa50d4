import hashlib
from pathlib import Path

import pytest

from job.errors import UsageError
from job.pinned import parse_op_library, pull_op_library

BYTES = b"\x7fELF, or so"
DIGEST = hashlib.sha256(BYTES).hexdigest()


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Write a file that stands for a library."""
    path = tmp_path / "ops.so"
    path.write_bytes(BYTES)
    return path


def test_pin_is_read(library: Path) -> None:
    """A path with its digest, and the stateful ops that may run, are told apart."""
    pinned = parse_op_library(f"{library}@sha256:{DIGEST.upper()}+SentencepieceOp,Acme>Counter")
    assert (pinned.path, pinned.sha256) == (str(library), DIGEST)
    assert pinned.ops == ("SentencepieceOp", "Acme>Counter")
    assert pinned.read() == BYTES


def test_place_is_no_part_of_the_content(library: Path) -> None:
    """What goes into a plan is the library's name, digest and ops: its place differs from run to run."""
    assert parse_op_library(f"{library}@sha256:{DIGEST}+A").content == f"ops.so@sha256:{DIGEST}+A"


@pytest.mark.parametrize("text", ["{}", "{}@sha256:", "{}@sha256:abc", "{}@md5:" + "0" * 64])
def test_missing_digest_is_told(library: Path, text: str) -> None:
    """A library without a digest is refused with the digest that it has."""
    with pytest.raises(UsageError, match="FILE@sha256:HEX") as caught:
        parse_op_library(text.format(library))
    assert (DIGEST in caught.value.what) == ("md5" not in text)


def test_wrong_digest_is_told(library: Path) -> None:
    """Other bytes than those pinned are refused with the digest that was found."""
    with pytest.raises(UsageError, match=DIGEST):
        parse_op_library(f"{library}@sha256:{'0' * 64}").read()


@pytest.mark.usefixtures("library")
def test_library_is_pulled_from_beside_the_manifest(tmp_path: Path) -> None:
    """A relative path is relative to the manifest, and the pulled copy keeps its pin."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    pulled = parse_op_library(pull_op_library(f"ops.so@sha256:{DIGEST}", str(tmp_path / "manifest.yaml"), scratch))
    assert Path(pulled.path).parent.parent == scratch
    assert pulled.read() == BYTES


def test_pulled_library_must_be_the_pinned_one(library: Path, tmp_path: Path) -> None:
    """A wrong digest ends the run before any work."""
    with pytest.raises(UsageError, match=DIGEST):
        pull_op_library(f"{library}@sha256:{'1' * 64}", "", tmp_path)


def test_absent_library_is_told(tmp_path: Path) -> None:
    """A path that names no file is the user's mistake."""
    with pytest.raises(UsageError, match="no such op library"):
        pull_op_library(f"{tmp_path}/gone.so@sha256:{'1' * 64}", "", tmp_path)
