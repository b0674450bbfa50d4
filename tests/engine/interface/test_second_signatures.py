from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.engine.assembling import read_source
from job.engine.proof.verifying import verify
from job.engine.source_graph import SourceGraph
from job.records import ArtifactOptions, Finding, Signature
from job.requests import SourceRequest, VerifyRequest
from tests.engine.interface.test_signatures import Signatures, served, signature
from tests.engine.models import Saver, converted, ref, request_of, v1

CLASSIFY = "tensorflow/serving/classify"
WORDS = np.array([b"red", b"blue"], object)


def features() -> tuple[Any, Any]:
    """Parse a dense feature, one of variable length and one that nothing uses; return the examples and the sum."""
    serialized = v1.placeholder(tf.string, [None], name="tf_example")
    parsed = v1.parse_example(
        serialized,
        {
            "x/1": v1.FixedLenFeature([2], tf.float32),
            "ids": v1.VarLenFeature(tf.int64),
            "unused": v1.FixedLenFeature([], tf.string, ""),
        },
    )
    ids = v1.sparse_tensor_to_dense(parsed["ids"])
    total = tf.reduce_sum(tf.cast(ids, tf.float32), 1, keepdims=True)
    return serialized, tf.add(tf.matmul(parsed["x/1"], ref("kernel", [[1.0], [2.0]])), total, name="scores")


def classified() -> Signatures:
    serialized, scores = features()
    return {"serving_default": signature({"inputs": serialized}, {"scores": scores}, CLASSIFY)}


def example(x: list[float], ids: list[int]) -> bytes:
    made = {
        "x/1": tf.train.Feature(float_list=tf.train.FloatList(value=x)),
        "ids": tf.train.Feature(int64_list=tf.train.Int64List(value=ids)),
    }
    return bytes(tf.train.Example(features=tf.train.Features(feature=made)).SerializeToString())


def second(source: SourceGraph) -> Signature:
    """Return the one signature that the job added."""
    (found,) = (one for one in source.signatures if one.beside)
    return found


def left_out(source: SourceGraph) -> Finding:
    """Return what is said of a signature that could not be added; none was."""
    assert not [one.key for one in source.signatures if one.beside]
    (finding,) = (finding for finding in source.findings if finding.code == "second_signature_left_out")
    return finding


def test_parsed_features_are_taken(tmp_path: Path) -> None:
    """Dense features go by name and sparse ones by their parts, with shapes; the answer is that to the examples."""
    model = converted(served(tmp_path, classified), tmp_path)
    added = second(model.source)
    assert (added.key, added.beside, added.method) == (
        "serving_default_parsed",
        "serving_default",
        "tensorflow/serving/predict",
    )
    assert {spec.key: (spec.dtype, spec.shape) for spec in added.inputs} == {
        "x/1": ("float32", (None, 2)),
        "ids_indices": ("int64", (None, 2)),
        "ids_values": ("int64", (None,)),
        "ids_dense_shape": ("int64", (2,)),
    }
    examples = np.array([example([1, 2], [3]), example([0, 1], [4, 5])], object)
    own = model.answer({"tf_example:0": examples})
    feeds = {
        "x/1": np.array([[1, 2], [0, 1]], np.float32),
        "ids_indices": np.array([[0, 0], [1, 0], [1, 1]]),
        "ids_values": np.array([3, 4, 5]),
        "ids_dense_shape": np.array([2, 2]),
    }
    (said,) = model.candidate.run(added, [feeds[spec.key] for spec in added.inputs])
    np.testing.assert_array_equal(said, own["scores:0"])


def test_own_signature_stays_as_it_was(tmp_path: Path) -> None:
    """The original keeps its place, method, input and outputs, and a finding names what was added."""
    source = read_source(served(tmp_path, classified))
    own = source.signatures[0]
    assert (own.key, own.method, own.beside) == ("serving_default", CLASSIFY, "")
    assert [(spec.key, spec.dtype) for spec in own.inputs] == [("inputs", "string")]
    (finding,) = (finding for finding in source.findings if finding.code == "second_signature")
    assert "serving_default_parsed" in finding.cause
    assert "ids_dense_shape" in finding.cause


def test_added_signature_passes_its_own_parity(tmp_path: Path) -> None:
    """It is compared as the others are, on what the graph itself parses, and so it is as run."""
    request = served(tmp_path, classified)
    directory = str(converted(request, tmp_path).directory)
    for mode in ("exact", "as_run"):
        wanted = VerifyRequest(
            source=request,
            saved_model=directory,
            mode=mode,
            tolerance=1e-5,
            reference=str(tmp_path / "r.npz"),
        )
        found = [output for output in verify(wanted).outputs if output.signature == "serving_default_parsed"]
        assert [(output.verdict, len(output.samples)) for output in found] == [("passed", 3)]


def test_unproven_one_is_not_added(tmp_path: Path) -> None:
    """What did not pass its parity is not made again, and that is said."""
    request = served(tmp_path, classified)
    again = SourceRequest(
        format=request.format, directory=request.directory, entry=request.entry, unproven=("serving_default_parsed",)
    )
    assert "parity" in left_out(read_source(again)).cause


def test_examples_that_are_used_otherwise_stay(tmp_path: Path) -> None:
    """No second signature is made where the model looks at the examples themselves, too."""

    def build() -> Signatures:
        serialized, scores = features()
        count = tf.cast(tf.strings.length(serialized), tf.float32)
        return {"serving_default": signature({"inputs": serialized}, {"scores": scores + count[:, None]})}

    assert "tf_example:0 is used otherwise" in left_out(read_source(served(tmp_path, build))).cause


def test_added_key_is_unused(tmp_path: Path) -> None:
    """A signature of the model's own that has the key keeps it."""

    def build() -> Signatures:
        serialized, scores = features()
        one = signature({"inputs": serialized}, {"scores": scores})
        return {"a": one, "a_parsed": signature({"x": scores}, {"y": tf.identity(scores)})}

    source = read_source(served(tmp_path, build))
    assert [one.key for one in source.signatures] == ["a", "a_parsed", "a_parsed_1"]


def test_feature_named_as_another_input(saved: Saver, tmp_path: Path) -> None:
    """A feature whose name another input has is numbered; the other input stays, and so do features of one example."""

    def build() -> None:
        parsed = v1.parse_single_example(
            v1.placeholder(tf.string, [], name="serialized"), {"x": v1.FixedLenFeature([3], tf.float32)}
        )
        tf.identity(parsed["x"] * v1.placeholder(tf.float32, [], name="x"), name="y")

    model = converted(saved(build), tmp_path)
    assert {spec.key: spec.shape for spec in second(model.source).inputs} == {"x": (), "x_1": (3,)}


def decoded(build: Callable[[Any], Any], shape: list[int | None]) -> Callable[[], None]:
    def whole() -> None:
        images = build(v1.placeholder(tf.string, shape, name="encoded"))
        tf.multiply(tf.reduce_mean(tf.cast(images, tf.float32), [-3, -2]), ref("scale", 2.0), name="y")

    return whole


def test_decoded_image_is_taken(saved: Saver, tmp_path: Path) -> None:
    """Behind a decoder the input goes by the name of the decoder's output and has its shape."""
    model = converted(saved(decoded(lambda data: tf.io.decode_jpeg(data, 3), [])), tmp_path)
    added = second(model.source)
    (spec,) = added.inputs
    assert (added.key, spec.key, spec.dtype, spec.shape) == (
        "serving_default_decoded",
        "image",
        "uint8",
        (None, None, 3),
    )
    image = np.full([4, 5, 3], 7, np.uint8)
    assert model.candidate.run(added, [image])[0].tolist() == [14.0, 14.0, 14.0]


def resized(data: Any) -> Any:
    image = tf.cast(tf.io.decode_png(data, 3), tf.float32)
    return v1.image.resize_images(image, [8, 8])


def test_images_decoded_in_a_loop_are_taken_behind_it(saved: Saver, tmp_path: Path) -> None:
    """Where a loop decodes, the whole batch is taken from behind the loop, as it is there."""
    build = decoded(lambda data: v1.map_fn(resized, data, fn_output_signature=tf.float32), [None])
    model = converted(saved(build), tmp_path)
    added = second(model.source)
    (spec,) = added.inputs
    assert (spec.key, spec.dtype, spec.shape) == ("decoded", "float32", (None, 8, 8, 3))
    assert model.candidate.run(added, [np.ones([2, 8, 8, 3], np.float32)])[0].tolist() == [[2.0] * 3] * 2


def either(data: Any) -> Any:
    is_jpeg = tf.equal(tf.strings.substr(data, 0, 3), b"\xff\xd8\xff")
    return tf.cond(is_jpeg, lambda: tf.io.decode_jpeg(data, 3), lambda: tf.io.decode_png(data, 3))


def test_images_decoded_in_branches_are_taken_behind_them(saved: Saver, tmp_path: Path) -> None:
    """``decode_image`` of TF1 chooses a decoder by a condition: what is taken is what it chose."""
    model = converted(saved(decoded(either, [])), tmp_path)
    added = second(model.source)
    (spec,) = added.inputs
    assert (spec.key, spec.dtype) == ("decoded", "uint8")
    assert model.candidate.run(added, [np.ones([2, 2, 3], np.uint8)])[0].tolist() == [2.0] * 3


def test_whole_model_in_a_loop_has_no_second_signature(saved: Saver) -> None:
    """Where the loop that decodes also answers, nothing is left behind it, and that is said."""

    def one(data: Any) -> Any:
        return tf.reduce_mean(resized(data))

    def build() -> None:
        tf.identity(
            v1.map_fn(one, v1.placeholder(tf.string, [None], name="encoded"), fn_output_signature=tf.float32), name="y"
        )

    assert "runs in a loop or a branch" in left_out(read_source(saved(build))).cause


def test_images_in_examples_are_taken_decoded(saved: Saver, tmp_path: Path) -> None:
    """An image in an example gives two signatures: with the parsed features, and with the decoded image beside them."""

    def build() -> None:
        keys = {"image/encoded": v1.FixedLenFeature([], tf.string), "gain": v1.FixedLenFeature([], tf.float32)}
        parsed = v1.parse_single_example(v1.placeholder(tf.string, [], name="serialized"), keys)
        image = tf.io.decode_jpeg(parsed["image/encoded"], 3)
        tf.identity(tf.reduce_mean(tf.cast(image, tf.float32)) * parsed["gain"], name="y")

    model = converted(saved(build), tmp_path)
    taken = {one.key: {spec.key for spec in one.inputs} for one in model.source.signatures if one.beside}
    assert taken == {
        "serving_default_parsed": {"image/encoded", "gain"},
        "serving_default_decoded": {"image", "gain"},
    }


@pytest.mark.parametrize("shape", [[], [None]])
def test_text_gives_no_second_signature(saved: Saver, shape: list[int | None]) -> None:
    """Strings that are neither parsed nor decoded are not spoken of."""
    source = read_source(saved(lambda: tf.strings.length(v1.placeholder(tf.string, shape, name="text"), name="length")))
    assert [one.key for one in source.signatures] == ["serving_default"]
    assert not [finding for finding in source.findings if finding.code.startswith("second")]


def test_user_who_names_inputs_has_second_signatures_too(saved: Saver) -> None:
    """Inputs and outputs of the user's choice are treated as any others."""
    request = saved(lambda: features() and None)
    options = ArtifactOptions(inputs={"e": "tf_example"}, outputs={"s": "scores"})
    source = read_source(request_of(Path(request.directory), options))
    assert second(source).key == "serving_default_parsed"
