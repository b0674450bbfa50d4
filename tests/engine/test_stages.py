from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from job.engine.assembling import read_source
from job.engine.lift import rehearse
from job.engine.stages import convert, inspect
from job.records import ArtifactOptions, Format
from job.requests import ConvertRequest, SourceRequest
from tests.engine.models import Saver, graph_of, ref, v1


def named(gamma: float) -> None:
    """Multiply by a variable, under a name that tells nothing of inference."""
    x = v1.placeholder(tf.float32, [None, 2], name="x")
    tf.multiply(x, ref("gamma", tf.constant([1.0, gamma])), name="y")


def test_rehearsal_holds_no_weights(saved: Saver) -> None:
    """The values are read and checked, and let go: the variables have their shapes and nothing in them."""
    model = rehearse(read_source(saved(lambda: named(1.0))), allow_nonfinite=False)
    assert model.state["gamma"].shape == [2]
    assert not model.state["gamma"].is_initialized()
    assert model.functions["serving_default"].structured_outputs["y"].shape.as_list() == [None, 2]


@pytest.mark.parametrize("gamma", [1.0, np.nan])
def test_inspecting_says_what_converting_says(saved: Saver, tmp_path: Path, gamma: float) -> None:
    """Summary and error are the same, whether it will convert or not."""
    request = saved(lambda: named(gamma))
    foreseen = inspect(request)
    assert foreseen == convert(ConvertRequest(source=request, saved_model=str(tmp_path / "out")))
    assert [finding.code for finding in foreseen.summary.findings] == ["interface_guessed"]
    assert (foreseen.error.code_name if foreseen.error else "") == ("refused" if np.isnan(gamma) else "")


def test_options_count_when_inspecting(saved: Saver) -> None:
    """What the user allows is allowed here too."""
    request = saved(lambda: named(np.nan))
    allowed = SourceRequest(
        format=request.format,
        directory=request.directory,
        entry=request.entry,
        options=ArtifactOptions(allow_nonfinite=True),
    )
    assert inspect(allowed).error is None


def test_what_was_read_before_an_error_is_told(tmp_path: Path) -> None:
    """A graph that will not convert has its nodes counted and its producer named."""
    graph_def = graph_of(lambda: v1.placeholder(tf.float32, [], name="x"))
    graph_def.node.add(name="y", op="AcmeFusedRelu", input=["x"])
    graph_def.versions.producer = 27
    (tmp_path / "frozen.pb").write_bytes(graph_def.SerializeToString())
    result = inspect(SourceRequest(format=Format.GRAPH_DEF, directory=str(tmp_path), entry="frozen.pb"))
    assert (result.summary.producer, result.summary.node_count) == ("GraphDef version 27", 2)
    assert result.error is not None
    assert "AcmeFusedRelu" in result.error.what


def test_format_without_a_reader_is_told(tmp_path: Path) -> None:
    """What no reader takes is an error with its format, and no crash."""
    result = inspect(SourceRequest(format=Format.UNREADABLE, directory=str(tmp_path), entry="x"))
    assert (result.summary.format, result.error.code_name if result.error else "") == (Format.UNREADABLE, "bad_input")
