from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from job.engine.assembling import read_source
from job.errors import BadInput, Refused
from job.records import ArtifactOptions, Format, Signature
from job.requests import SourceRequest
from tests.engine.models import Saver, converted, ref, request_of, started, v1, v1_graph

INFO = v1.saved_model.build_tensor_info
Signatures = dict[str, Any]


def served(folder: Path, build: Callable[[], Signatures], options: ArtifactOptions | None = None) -> SourceRequest:
    """Save what `build` builds as a TF1 SavedModel with the signatures that it returns."""
    with v1_graph():
        signatures = build()
        builder = v1.saved_model.Builder(str(folder / "source"))
        with started() as session:
            builder.add_meta_graph_and_variables(session, ["serve"], signatures)
        builder.save()
    return SourceRequest(
        format=Format.SAVED_MODEL, directory=str(folder), entry="source", options=options or ArtifactOptions()
    )


def signature(inputs: dict[str, Any], outputs: dict[str, Any], method: str = "tensorflow/serving/predict") -> Any:
    return v1.saved_model.build_signature_def(
        {key: INFO(tensor) for key, tensor in inputs.items()},
        {key: INFO(tensor) for key, tensor in outputs.items()},
        method,
    )


def linear() -> tuple[Any, Any]:
    x = v1.placeholder(tf.float32, [None, 2], name="x")
    return x, tf.matmul(x, ref("kernel", [[1.0], [2.0]]), name="y")


X = np.array([[1.0, 1.0], [0.0, 3.0]], np.float32)


def two_signatures() -> Signatures:
    x, y = linear()
    broken = signature({"x": x}, {"y": y})
    broken.outputs["y"].name = "gone:0"
    return {
        "serving_default": signature({"x": x}, {"y": y}),
        "broken": broken,
        "doubled": signature({"x": x}, {"scores": tf.identity(y * 2, name="z")}, "tensorflow/serving/regress"),
    }


def test_broken_signature_is_left_out(tmp_path: Path) -> None:
    """A signature that names what the graph lacks is left out with a warning; the others stay, with their methods."""
    source = read_source(served(tmp_path, two_signatures))
    assert {one.key: one.method for one in source.signatures} == {
        "doubled": "tensorflow/serving/regress",
        "serving_default": "tensorflow/serving/predict",
    }
    (finding,) = (finding for finding in source.findings if finding.code == "signature_broken")
    assert (finding.severity, "gone:0" in finding.cause) == ("warning", True)


def test_only_broken_signatures_are_bad_input(tmp_path: Path) -> None:
    """Where no signature can be used, the first one's fault is said."""
    with pytest.raises(BadInput, match="names gone:0"):
        read_source(served(tmp_path, lambda: {"broken": two_signatures()["broken"]}))


def some_refused() -> Signatures:
    x, y = linear()
    read = tf.strings.length(tf.io.read_file(v1.placeholder(tf.string, [], name="path")), name="length")
    return {
        "file": signature({"x": x}, {"y": y, "length": read}),
        "serving_default": signature({"x": x}, {"y": y}),
    }


def test_refused_signature_costs_itself_alone(tmp_path: Path) -> None:
    """A signature that reads files is left out with a warning; what is kept never reads any."""
    source = read_source(served(tmp_path, some_refused))
    assert [one.key for one in source.signatures] == ["serving_default"]
    assert "ReadFile" not in {source.graph.nodes[name].op for name in source.needed}
    (finding,) = (finding for finding in source.findings if finding.code == "signature_refused")
    assert (finding.severity, "file was left out" in finding.cause, "ReadFile" in finding.cause) == (
        "warning",
        True,
        True,
    )


def one_writes_in_a_loop() -> Signatures:
    x, y = linear()
    state = ref("state", 0.0)

    def body(i: Any) -> Any:
        with tf.control_dependencies([v1.assign_add(state, 1.0)]):
            return i + 1

    rounds = v1.while_loop(lambda i: i < 3, body, [tf.constant(0)])
    return {"counting": signature({"x": x}, {"n": rounds}), "serving_default": signature({"x": x}, {"y": y})}


def test_signature_without_all_it_needs_costs_itself_alone(tmp_path: Path) -> None:
    """A signature that TF1 itself could not run, for want of a placeholder, is left out and said to be broken."""

    def build() -> Signatures:
        x, y = linear()
        total = tf.add(y, v1.placeholder(tf.float32, [], name="offset"))
        return {"partial": signature({"x": x}, {"y": total}), "serving_default": signature({"x": x}, {"y": y})}

    source = read_source(served(tmp_path, build))
    assert [one.key for one in source.signatures] == ["serving_default"]
    (finding,) = (finding for finding in source.findings if finding.code == "signature_broken")
    assert "placeholder offset" in finding.cause


def test_user_names_too_few_inputs(saved: Saver) -> None:
    """Where the user's inputs do not suffice for the user's outputs, the error names what is missing."""
    request = saved(lambda: tf.add(v1.placeholder(tf.float32, [], "x"), v1.placeholder(tf.float32, [], "z"), name="y"))
    options = ArtifactOptions(inputs={"x": "x"}, outputs={"y": "y"})
    with pytest.raises(BadInput, match="the placeholder z"):
        read_source(request_of(Path(request.directory), options))


def test_signature_that_cannot_be_lifted_costs_itself_alone(tmp_path: Path) -> None:
    """What only the lift would find is found for each signature by itself, before anything is written."""
    source = read_source(served(tmp_path, one_writes_in_a_loop))
    assert [one.key for one in source.signatures] == ["serving_default"]
    (finding,) = (finding for finding in source.findings if finding.code == "signature_broken")
    assert "inside a loop" in finding.cause


def test_only_refused_signatures_are_refused(tmp_path: Path) -> None:
    """Where no signature is left, the error is the refusal."""
    with pytest.raises(Refused, match="ReadFile"):
        read_source(served(tmp_path, lambda: {"file": some_refused()["file"]}))


def test_signature_of_an_unknown_op_costs_itself_alone(tmp_path: Path) -> None:
    """An op that this TensorFlow does not have leaves out those signatures that need it."""
    request = served(tmp_path, two_signatures)
    path = tmp_path / "source" / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    next(node for node in model.meta_graphs[0].graph_def.node if node.name == "z").op = "NoSuchOp"
    path.write_bytes(model.SerializeToString())
    source = read_source(request)
    assert [one.key for one in source.signatures] == ["serving_default"]
    assert [one.code for one in source.findings if one.severity == "warning"] == ["signature_broken"] * 2


def test_model_without_a_default_signature_can_be_called(tmp_path: Path) -> None:
    """``loaded(…)`` is the first signature where none is called serving_default; several dtypes come back."""

    def build() -> Signatures:
        x, y = linear()
        return {"score": signature({"x": x}, {"y": y, "rank": tf.rank(y), "text": tf.as_string(y)})}

    model = converted(served(tmp_path, build), tmp_path)
    said = tf.saved_model.load(str(model.directory))(X)
    assert {key: value.dtype.name for key, value in said.items()} == {
        "y": "float32",
        "rank": "int32",
        "text": "string",
    }


def test_inputs_of_no_rank_and_of_rank_zero(tmp_path: Path) -> None:
    """An input of unknown rank takes what it is given, and a scalar stays one."""

    def build() -> Signatures:
        any_rank, scale = v1.placeholder(tf.float32, name="any"), v1.placeholder(tf.float32, [], name="scale")
        return {"serving_default": signature({"x": any_rank, "scale": scale}, {"y": any_rank * scale})}

    model = converted(served(tmp_path, build), tmp_path)
    assert {spec.key: spec.shape for spec in model.signature().inputs} == {"x": None, "scale": ()}
    for x in (np.float32(1), X):
        (y,) = model.answer({"any:0": x, "scale:0": np.float32(2)}).values()
        np.testing.assert_array_equal(y, 2 * x)


def test_user_chooses_signatures(tmp_path: Path) -> None:
    """Only the named ones are taken, and an unknown name is answered with those that there are."""
    request = served(tmp_path, two_signatures, ArtifactOptions(signatures=("doubled",)))
    assert [one.key for one in read_source(request).signatures] == ["doubled"]
    unknown = SourceRequest(
        format=request.format, directory=request.directory, entry="source", options=ArtifactOptions(signatures=("no",))
    )
    with pytest.raises(BadInput, match="no signature 'no'") as caught:
        read_source(unknown)
    assert caught.value.remedy.startswith("the model has: ")
    assert "doubled" in caught.value.remedy
    with pytest.raises(BadInput, match="no signature 'duobled'; did you mean 'doubled'"):
        read_source(replace(unknown, options=ArtifactOptions(signatures=("duobled",))))


def test_inputs_alone_are_not_ignored(tmp_path: Path) -> None:
    """A user who names inputs of a model with signatures must say which outputs they are for."""
    options = ArtifactOptions(inputs={"x": "x:0"})
    with pytest.raises(BadInput, match=r"`inputs` are named without `outputs`.*name `outputs` as well"):
        read_source(served(tmp_path, two_signatures, options))


def test_sparse_input_is_its_three_tensors(tmp_path: Path) -> None:
    """A sparse tensor becomes indices, values and dense shape, as in TensorFlow's loader, and the model answers."""

    def build() -> Signatures:
        sparse = v1.sparse_placeholder(tf.float32, [None, 3], name="x")
        y = tf.sparse.sparse_dense_matmul(sparse, ref("kernel", [[1.0], [2.0], [3.0]]), name="y")
        return {"serving_default": signature({"x": sparse}, {"y": y})}

    model = converted(served(tmp_path, build), tmp_path)
    keys = {spec.key: spec.tensor for spec in model.signature().inputs}
    assert sorted(keys) == ["x_dense_shape", "x_indices", "x_values"]
    feeds = {"x_indices": [[0, 1], [1, 2]], "x_values": [10.0, 1.0], "x_dense_shape": [2, 3]}
    (y,) = model.answer({keys[key]: value for key, value in feeds.items()}).values()
    assert y.tolist() == [[20.0], [3.0]]


def test_odd_and_doubled_keys_work(tmp_path: Path) -> None:
    """Keys that are no identifiers, collide when made legal, or name one tensor twice, all reach their tensors."""

    def build() -> Signatures:
        x, y = linear()
        other = v1.placeholder(tf.float32, [None, 1], name="other")
        total = tf.add(y, 10 * other, name="total")
        return {"a signature": signature({"in/x": x, "in x": other}, {"best 1": total, "again/1": total, "class": y})}

    model = converted(served(tmp_path, build), tmp_path)
    ones = np.ones([2, 1], np.float32)
    said = model.answer({"x:0": X, "other:0": ones}, "a signature")
    np.testing.assert_array_equal(said["total:0"], [[13.0], [16.0]])
    np.testing.assert_array_equal(said["y:0"], [[3.0], [6.0]])
    assert set(model.candidate._loaded.signatures["a signature"].structured_outputs) == {"best 1", "again/1", "class"}


def test_two_inputs_of_one_tensor_work(tmp_path: Path) -> None:
    """Two input keys that name one tensor are both accepted; the tensor is fed."""

    def build() -> Signatures:
        x, y = linear()
        return {"serving_default": signature({"x": x, "images": x}, {"y": y})}

    model = converted(served(tmp_path, build), tmp_path)
    np.testing.assert_array_equal(model.answer({"x:0": X})["y:0"], [[3.0], [6.0]])


def guessed(folder: Path, saved: Saver, **options: Any) -> Signature:
    def build() -> None:
        _, y = linear()
        tf.nn.sigmoid(tf.add(y, 1.0, name="hidden"), name="scores")

    saved(build)
    (found,) = read_source(request_of(folder / "source", ArtifactOptions(**options))).signatures
    return found


def test_guess_is_said(tmp_path: Path, saved: Saver) -> None:
    """A graph without signatures gets the default one, and a finding says what was taken and how to choose."""
    found = guessed(tmp_path, saved)
    assert (found.key, [spec.key for spec in found.inputs]) == ("serving_default", ["x"])
    assert [spec.tensor for spec in found.outputs] == ["scores:0", "hidden:0"]
    (finding,) = read_source(request_of(tmp_path / "source")).findings
    assert "inputs x:0; outputs scores:0, hidden:0" in finding.cause


def test_outputs_of_one_node_are_numbered(tmp_path: Path, saved: Saver) -> None:
    """Values and indices of one op are told apart by their numbers: neither has the op's name to itself."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        tf.raw_ops.TopKV2(input=x * ref("w", 2.0), k=1, name="top")

    saved(build)
    (found,) = read_source(request_of(tmp_path / "source")).signatures
    assert {spec.key: spec.tensor for spec in found.outputs} == {"top_0": "top:0", "top_1": "top:1"}


@pytest.mark.parametrize("made_of", ["placeholder", "queue"])
def test_default_that_a_placeholder_feeds_is_no_input(tmp_path: Path, saved: Saver, made_of: str) -> None:
    """Who feeds the encoded image need not feed the bottleneck; who feeds images need not feed the queue."""

    def build() -> None:
        data = v1.placeholder(tf.float32, [None, 2], name="first")
        if made_of == "queue":
            data = tf.queue.FIFOQueue(8, [tf.float32], [[2]]).dequeue_many(2, name="first")
        tf.multiply(v1.placeholder_with_default(data + 1.0, [None, 2], name="second"), ref("w", 2.0), name="scores")

    saved(build)
    (found,) = read_source(request_of(tmp_path / "source")).signatures
    wanted = {"placeholder": ["first:0"], "queue": ["second:0"]}
    assert [spec.tensor for spec in found.inputs] == wanted[made_of]


def test_default_of_an_inputs_shape_stays_an_input(tmp_path: Path, saved: Saver) -> None:
    """A state that is zero by default can be fed and, in a signature of its own, left out, as TF1 lets one."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        state = v1.placeholder_with_default(tf.zeros([tf.shape(x)[0], 2]), [None, 2], name="state")
        tf.add(x * ref("w", 2.0), state, name="scores")

    model = converted(saved(build), tmp_path)
    assert {spec.tensor for spec in model.signature().inputs} == {"x:0", "state:0"}
    assert [spec.tensor for spec in model.signature("serving_default_with_defaults").inputs] == ["x:0"]
    x = np.ones((3, 2), np.float32)
    assert model.answer({"x:0": x, "state:0": x})["scores:0"].tolist() == (3 * x).tolist()
    assert model.answer({"x:0": x}, "serving_default_with_defaults")["scores:0"].tolist() == (2 * x).tolist()
    assert "defaults_kept" in {finding.code for finding in model.source.findings}


def test_user_names_inputs_and_outputs(tmp_path: Path, saved: Saver) -> None:
    """Named tensors, with or without output number, become the arguments; the graph is cut there."""
    found = guessed(tmp_path, saved, inputs={"mine": "y"}, outputs={"result": "scores:0"})
    assert [(spec.key, spec.tensor) for spec in found.inputs] == [("mine", "y:0")]
    assert [(spec.key, spec.tensor) for spec in found.outputs] == [("result", "scores:0")]


@pytest.mark.parametrize("side", ["inputs", "outputs"])
def test_misspelt_tensor_gets_a_near_one(tmp_path: Path, saved: Saver, side: str) -> None:
    """A tensor that the graph lacks is answered with the nearest name that it has."""
    with pytest.raises(BadInput, match="no tensor 'score:0'") as caught:
        guessed(tmp_path, saved, **{side: {"y": "score:0"}})
    assert "'scores'" in caught.value.remedy


def test_signature_without_outputs_costs_itself_alone(tmp_path: Path) -> None:
    """What answers nothing is left out with a finding, since there is nothing of it to prove."""

    def build() -> Any:
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        return {"train": signature({"x": x}, {}), "serving_default": signature({"x": x}, {"y": x * 2})}

    source = read_source(served(tmp_path, build))
    assert [one.key for one in source.signatures] == ["serving_default"]
    (finding,) = source.findings
    assert (finding.code, "has no outputs" in finding.cause) == ("signature_broken", True)


@pytest.mark.parametrize("side", ["inputs", "outputs"])
def test_handles_are_no_tensors_of_a_signature(tmp_path: Path, side: str) -> None:
    """A variable's handle cannot be taken or returned: it is refused before any work, by its name."""

    def build() -> Any:
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        w = v1.get_variable("w", initializer=np.eye(2, dtype=np.float32), use_resource=True)
        y = tf.matmul(x, w)
        handle = {"w": w.handle}
        given, said = ({"x": x} | handle, {"y": y}) if side == "inputs" else ({"x": x}, {"y": y} | handle)
        return {"serving_default": signature(given, said)}

    with pytest.raises(BadInput, match="w:0 is the handle of a resource"):
        read_source(served(tmp_path, build))


def test_what_depends_on_state_alone_is_said(saved: Saver) -> None:
    """A guess takes no output that no input reaches: a finding names it, and not the readers of variables."""

    def build() -> None:
        x, count, _ = v1.placeholder(tf.float32, [None, 2], name="x"), ref("count", 0.0), ref("unused", 1.0)
        tf.identity(v1.assign_add(count, 1.0), name="calls")
        tf.square(x, name="y")

    source = read_source(saved(build))
    assert [spec.tensor for spec in source.signatures[0].outputs] == ["y:0"]
    (finding,) = (one for one in source.findings if one.code == "state_not_asked")
    assert finding.cause.startswith("calls:0 depend")


def test_named_outputs_leave_nothing_unasked(saved: Saver) -> None:
    """Who names the outputs is not told of others."""

    def build() -> None:
        tf.square(v1.placeholder(tf.float32, [None, 2], name="x"), name="y")
        tf.identity(ref("count", 0.0), name="calls")

    request = request_of(Path(saved(build).directory), ArtifactOptions(outputs={"y": "y"}))
    assert "state_not_asked" not in {one.code for one in read_source(request).findings}
