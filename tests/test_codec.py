import json
import math

import pytest

from job import codec
from job.records import (
    Artifact,
    ArtifactOptions,
    ArtifactReport,
    ErrorRecord,
    Format,
    Signature,
    SourceSummary,
    StoredObject,
    TensorSpec,
)
from job.results import BenchmarkResult, OutputParity, ParityResult

TENSORS = (
    TensorSpec(key="x", tensor="x:0", dtype="float32", shape=(None, 3)),
    TensorSpec(key="y", tensor="y:0", dtype="string", shape=None),
)
REPORT = ArtifactReport(
    artifact=Artifact(
        name="modèle",
        format=Format.GRAPH_DEF,
        entry="modèle.pb",
        objects=(StoredObject(key="modèle.pb", size_bytes=3),),
        problem=ErrorRecord(exit_code=40, code_name="bad_input", what="truncated"),
    ),
    status="published",
    summary=SourceSummary(
        format=Format.GRAPH_DEF, signatures=(Signature(key="serving_default", inputs=TENSORS, outputs=()),)
    ),
    benchmark=BenchmarkResult(verdict="not_run", load_ms={"baseline": 1.5}),
)


def parity(relative: float) -> OutputParity:
    return OutputParity(
        signature="s", output="o", tensor="t:0", dtype="float32", verdict="failed", tolerance=1e-5, relative=relative
    )


def test_a_record_comes_back_equal() -> None:
    """Nested records, enums, tuples and free dimensions survive the way through JSON."""
    assert codec.loads(codec.dumps(REPORT), ArtifactReport) == REPORT
    options = ArtifactOptions(tags=("serve",), batch_sizes=(1, 8), inputs={"x": "x:0"}, tolerance=1e-3)
    assert codec.loads(codec.dumps(options, indent=2), ArtifactOptions) == options


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_numbers_that_json_lacks_survive(number: float) -> None:
    """The text is valid JSON for every reader, and NaN and infinities are what they were."""
    text = codec.dumps(ParityResult(mode="exact", verdict="failed", outputs=(parity(number),)))
    json.loads(text, parse_constant=pytest.fail)
    relative = codec.loads(text, ParityResult).outputs[0].relative
    assert relative == number or (relative is not None and math.isnan(relative) and math.isnan(number))


def test_equal_records_have_equal_text() -> None:
    """Digests can be taken of the text: neither the order of keys nor 1 for 1.0 shows."""
    one = BenchmarkResult(verdict="not_run", load_ms={"a": 1, "b": 2})
    other = BenchmarkResult(verdict="not_run", load_ms={"b": 2.0, "a": 1.0})
    assert codec.dumps(one) == codec.dumps(other)


def test_whatever_holds_records_can_be_written() -> None:
    """Mappings and tuples of records, as options are, need no record around them."""
    assert codec.dumps({"b": (Format.KERAS_H5, math.nan), "a": StoredObject(key="k", size_bytes=1)}) == (
        '{"a":{"etag":"","key":"k","modified_s":0.0,"sha256":"","size_bytes":1},"b":["keras_h5","nan"]}'
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"key":"a","size_bytes":1,"extra":1}', "extra"),
        ('{"size_bytes":1}', r"\$.key"),
        ('{"key":null,"size_bytes":1}', "expected str"),
        ('{"key":"a","size_bytes":"1"}', "expected int"),
        ('{"key":"a","size_bytes":true}', "expected int"),
        ('{"key":"a","size_bytes":1.5}', "expected int"),
        ('{"key":"a","si', "Unterminated"),
        ("", "Expecting value"),
        ("3", "no StoredObject"),
        ("[" * 100_000, "no StoredObject"),
        (b"\xff\xfe{", "no StoredObject"),
    ],
)
def test_what_is_no_such_record_is_told(text: str | bytes, said: str) -> None:
    """Unknown, missing or mistyped fields and cut text are one kind of error, in one line."""
    with pytest.raises(ValueError, match=said) as caught:
        codec.loads(text, StoredObject)
    assert "\n" not in str(caught.value)
