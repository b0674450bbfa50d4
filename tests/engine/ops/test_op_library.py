import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from job.errors import JobError, UsageError, from_record
from job.records import ArtifactOptions, ConvertResult, Format
from job.requests import ConvertRequest, SourceRequest, VerifyRequest
from job.results import ParityResult
from job.workers import Forkserver

SOURCE = Path(__file__).with_name("acme_ops.cc")
INCLUDE = tf.sysconfig.get_include()


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a library of two ops: `AcmeFusedRelu`, and the stateful `AcmeCounter`."""
    compiler = shutil.which("c++")
    if compiler is None or not Path(INCLUDE, "tensorflow", "c", "ops.h").exists():
        pytest.skip("no C++ compiler, or TensorFlow without its headers")
    built = tmp_path_factory.mktemp("ops") / "libacme.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-std=c++17", f"-I{INCLUDE}", SOURCE, "-o", built], check=True)
    return built


def pinned(library: Path, ops: str = "") -> str:
    """Return a library as a user pins it."""
    return f"{library}@sha256:{hashlib.sha256(library.read_bytes()).hexdigest()}{ops}"


def request_of(folder: Path, op: str, *libraries: str) -> SourceRequest:
    """Write a graph of one op and return the request to read it."""
    graph_def = graph_pb2.GraphDef()
    given = graph_def.node.add(name="x", op="Placeholder")
    given.attr["dtype"].type = tf.float32.as_datatype_enum
    given.attr["shape"].shape.CopyFrom(tf.TensorShape([None, 3]).as_proto())
    graph_def.node.add(name="y", op=op, input=["x"])
    (folder / "model.pb").write_bytes(graph_def.SerializeToString())
    options = ArtifactOptions(op_libraries=libraries)
    return SourceRequest(format=Format.GRAPH_DEF, directory=str(folder), entry="model.pb", options=options)


def converted(forkserver: Forkserver, request: SourceRequest) -> ConvertResult:
    """Convert in a process of its own: a library that is loaded stays."""
    target = str(Path(request.directory, "saved_model"))
    wanted = ConvertRequest(source=request, saved_model=target)
    return forkserver.run("convert", wanted, ConvertResult, timeout_s=60)[0]


def refusal(forkserver: Forkserver, request: SourceRequest) -> JobError:
    """Return why an artifact is not converted."""
    result = converted(forkserver, request)
    assert result.error is not None
    return from_record(result.error)


def test_op_of_a_library_is_converted_and_compared(forkserver: Forkserver, library: Path, tmp_path: Path) -> None:
    """With its library a custom op converts and passes parity, and the finding says who else needs the library."""
    request = request_of(tmp_path, "AcmeFusedRelu", pinned(library))
    result = converted(forkserver, request)
    assert result.error is None
    (said,) = (one for one in result.summary.findings if one.code == "op_library_loaded")
    assert hashlib.sha256(library.read_bytes()).hexdigest() in said.cause
    assert "tf.load_op_library" in said.remedy
    wanted = VerifyRequest(source=request, saved_model=str(tmp_path / "saved_model"), mode="exact", tolerance=1e-5)
    assert forkserver.run("verify", wanted, ParityResult, timeout_s=60)[0].verdict == "passed"


def test_op_without_its_library_says_what_would_help(forkserver: Forkserver, tmp_path: Path) -> None:
    """A custom op alone is bad input, and the remedy names the flag."""
    error = refusal(forkserver, request_of(tmp_path, "AcmeFusedRelu"))
    assert "AcmeFusedRelu (node y, not registered)" in error.what
    assert "--op-library" in error.remedy


def test_stateful_op_of_a_library_must_be_named(forkserver: Forkserver, library: Path, tmp_path: Path) -> None:
    """A stateful op may do anything: it runs only where the user names it with the library."""
    error = refusal(forkserver, request_of(tmp_path, "AcmeCounter", pinned(library)))
    assert "AcmeCounter (node y) is a stateful one of your own library" in error.what
    assert "--op-library FILE@sha256:HEX+AcmeCounter" in error.remedy
    named = request_of(tmp_path, "AcmeCounter", pinned(library, "+AcmeCounter"))
    assert converted(forkserver, named).error is None


def test_changed_library_is_not_loaded(forkserver: Forkserver, library: Path, tmp_path: Path) -> None:
    """A file that changed after it was pinned is refused in the worker itself, with the digest that it has."""
    changed = tmp_path / "libacme.so"
    pin = pinned(library).replace(str(library), str(changed))
    changed.write_bytes(library.read_bytes() + b"\0")
    error = refusal_of(forkserver, request_of(tmp_path, "AcmeFusedRelu", pin))
    assert hashlib.sha256(changed.read_bytes()).hexdigest() in str(error)


def test_what_is_no_library_is_the_users_mistake(forkserver: Forkserver, tmp_path: Path) -> None:
    """A file that TensorFlow cannot load says how one is built."""
    text = tmp_path / "notes.so"
    text.write_text("no library")
    error = refusal_of(forkserver, request_of(tmp_path, "AcmeFusedRelu", pinned(text)))
    assert "get_compile_flags" in error.remedy


def refusal_of(forkserver: Forkserver, request: SourceRequest) -> JobError:
    """Return the mistake that the stage tells, in its result or by raising."""
    try:
        error = refusal(forkserver, request)
    except UsageError as raised:
        return raised
    assert isinstance(error, UsageError)
    return error
