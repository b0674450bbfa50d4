import gzip
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.engine.assembling import read_source
from job.engine.proof.verifying import verify
from job.engine.source_graph import SourceGraph
from job.records import ArtifactOptions, Format
from job.requests import SourceRequest, VerifyRequest
from tests.engine.models import Saver, converted, v1

GOLDEN = Path(__file__).parent.parent.parent / "goldens" / "estimator"
PREFIX = "model.ckpt-8"

SPECS = {
    "age: FixedLenFeature([], float32)",
    "children: FixedLenFeature([], float32), cast to int64",
    "pair_2: FixedLenFeature([2], float32)",
    "job: VarLenFeature(string)",
    "tags: VarLenFeature(string)",
    "number: VarLenFeature(int64)",
}

column = tf.feature_column

pytestmark = pytest.mark.filterwarnings("ignore:`layer.add_variable` is deprecated:UserWarning")
"""What TensorFlow's own feature columns call."""


@pytest.fixture
def estimator(tmp_path: Path) -> SourceRequest:
    """An Estimator's directory as TensorFlow 1.15.5 left it after training."""
    for path in GOLDEN.glob(f"{PREFIX}.*"):
        shutil.copy(path, tmp_path)
    (tmp_path / f"{PREFIX}.meta").write_bytes(gzip.decompress((GOLDEN / f"{PREFIX}.meta.gz").read_bytes()))
    return SourceRequest(format=Format.META_GRAPH, directory=str(tmp_path), entry=PREFIX)


def cause(source: SourceGraph, code: str) -> str:
    """Return the cause of the one finding of a code."""
    (found,) = (finding.cause for finding in source.findings if finding.code == code)
    return found


def test_examples_are_answered_as_by_the_export(estimator: SourceRequest, tmp_path: Path) -> None:
    """`predict` gives what TensorFlow 1.15's own export of these weights gave, with categories missing and several."""
    model = converted(estimator, tmp_path)
    predict = next(one for one in model.source.signatures if one.key == "predict")
    with np.load(GOLDEN / "answers.npz") as recorded:
        held = dict(recorded)
    examples = np.array([held.pop(f"example_{number}").tobytes() for number in range(4)], object)
    said = model.candidate.run(predict, [examples])
    assert {spec.key for spec in predict.outputs} == held.keys()
    for spec, output in zip(predict.outputs, said, strict=True):
        if held[spec.key].dtype.kind == "f":
            np.testing.assert_allclose(output, held[spec.key], rtol=1e-5, atol=1e-6)
        else:
            assert output.astype(held[spec.key].dtype).tolist() == held[spec.key].tolist()


def test_features_are_read_off_the_columns(estimator: SourceRequest) -> None:
    """The finding lists the parse spec of the columns that TensorFlow 1.15 trained; inputs are named after them."""
    source = read_source(estimator)
    told = cause(source, "examples_signature")
    assert set(told.partition("columns were ")[2].split("; ")) == SPECS
    assert {spec.key for spec in source.signatures[0].inputs} == {spec.partition(":")[0] for spec in SPECS}


def test_added_parser_passes_parity(estimator: SourceRequest, tmp_path: Path) -> None:
    """Both signatures pass, the added one on examples that are made for it."""
    model = converted(estimator, tmp_path)
    request = VerifyRequest(source=estimator, saved_model=str(model.directory), mode="exact", tolerance=1e-5)
    parity = verify(request)
    assert parity.verdict == "passed"
    assert {output.signature for output in parity.outputs} == {"serving_default", "predict"}
    assert {output.verdict for output in parity.outputs} == {"passed"}


def test_unproven_one_is_left_out(estimator: SourceRequest) -> None:
    """What did not pass is not made again, and the graph is as it was."""
    source = read_source(SourceRequest(**{**vars(estimator), "unproven": ("predict",)}))
    assert [one.key for one in source.signatures] == ["serving_default"]
    assert "parity" in cause(source, "examples_signature_left_out")
    assert all(spec.tensor.startswith("IteratorGetNext") for spec in source.signatures[0].inputs)


def test_named_inputs_stay_as_named(estimator: SourceRequest) -> None:
    """Who names inputs in the manifest gets those alone."""
    plain = read_source(SourceRequest(**{**vars(estimator), "unproven": ("predict",)})).signatures[0]
    inputs = {f"my_{number}": spec.tensor for number, spec in enumerate(plain.inputs)}
    source = read_source(SourceRequest(**{**vars(estimator), "options": ArtifactOptions(inputs=inputs)}))
    assert [[spec.key for spec in one.inputs] for one in source.signatures] == [list(inputs)]


Features = Mapping[str, Any]


def fed(batch: int | None = None, **dtypes: str) -> Features:
    """Take features from a queue, as ``numpy_input_fn`` does."""
    queue = v1.FIFOQueue(10, list(dtypes.values()), [[]] * len(dtypes))
    tensors = queue.dequeue_many(batch) if batch else queue.dequeue_up_to(4)
    return dict(zip(dtypes, tensors if len(dtypes) > 1 else [tensors], strict=True))


def scored(dense: Any) -> None:
    tf.add(tf.reduce_sum(dense, 1), v1.get_variable("bias", [], use_resource=True), name="scores")


def layer(features: Features, *columns: Any) -> None:
    scored(v1.feature_column.input_layer(features, columns))


def linear(features: Features, *columns: Any) -> None:
    scored(v1.feature_column.linear_model(features, columns))


def embedded(key: str) -> Any:
    return column.embedding_column(column.categorical_column_with_hash_bucket(key, 5), 2)


LEFT_OUT: dict[str, tuple[Callable[[], None], str]] = {
    "which of two categories a cross takes first": (
        lambda: linear(fed(a="string", b="string"), column.crossed_column(["a", "b"], 9)),
        "a or b",
    ),
    "one feature as number and as category": (
        lambda: layer(
            fed(a="int64"),
            column.numeric_column("a"),
            column.indicator_column(column.categorical_column_with_identity("a", 9, 0)),
        ),
        "categorical and number",
    ),
    "numbers in a cross, which exports parse as strings": (
        lambda: linear(fed(a="int64", b="string"), column.crossed_column(["a", "b"], 9)),
        "a raw number in a cross",
    ),
    "a feature that the model takes by itself as well": (
        lambda: scored(
            (features := fed(a="float32"))["a"][:, None]
            * v1.feature_column.input_layer(features, [column.numeric_column("a")])
        ),
        "as a vector and as columns",
    ),
    "a batch of one size": (
        lambda: layer(fed(16, a="float32", b="string"), column.numeric_column("a"), embedded("b")),
        "batches of 16 only",
    ),
    "a category with weights": (
        lambda: layer(
            fed(a="string", b="float32"),
            column.embedding_column(
                column.weighted_categorical_column(column.categorical_column_with_hash_bucket("a", 5), "b"), 2
            ),
        ),
        "",
    ),
}


@pytest.mark.parametrize("kind", LEFT_OUT)
def test_what_cannot_be_told_is_left_out(saved: Saver, kind: str) -> None:
    """Where names or kinds are not certain there is no signature of examples, and a finding says why."""
    build, reason = LEFT_OUT[kind]
    source = read_source(saved(build))
    assert [one.key for one in source.signatures] == ["serving_default"]
    assert reason in cause(source, "examples_signature_left_out")


TOLD: dict[str, tuple[Callable[[], None], set[str]]] = {
    "names that end as kinds do": (
        lambda: layer(
            fed(a_embedding="float32", a_bucketized="float32", a_indicator="string"),
            column.numeric_column("a_embedding"),
            column.numeric_column("a_bucketized"),
            embedded("a_indicator"),
        ),
        {"a_embedding", "a_bucketized", "a_indicator"},
    ),
    "a cross whose other feature is used elsewhere": (
        lambda: linear(
            fed(a="string", b="string"),
            column.categorical_column_with_hash_bucket("b", 5),
            column.crossed_column(["a", "b"], 9),
        ),
        {"a", "b"},
    ),
    "buckets within a cross alone": (
        lambda: linear(
            fed(n="int64", b="string"),
            column.crossed_column([column.bucketized_column(column.numeric_column("n"), [3.0]), "b"], 9),
        ),
        {"n", "b"},
    ),
}


@pytest.mark.parametrize("kind", TOLD)
def test_names_are_told_by_the_ops(saved: Saver, kind: str) -> None:
    """A suffix is part of the feature's own name unless the ops of its scope say otherwise."""
    build, names = TOLD[kind]
    source = read_source(saved(build))
    assert [one.key for one in source.signatures] == ["serving_default", "predict"]
    assert {spec.key for spec in source.signatures[0].inputs} == names


def test_other_pipelines_are_no_estimators(saved: Saver) -> None:
    """A queue before a model without feature columns is cut as ever, and nothing is said of examples."""
    source = read_source(saved(lambda: scored(fed(a="float32")["a"][:, None])))
    assert not [finding for finding in source.findings if finding.code.startswith("examples_signature")]
