from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from job.engine.assembling import read_source
from job.engine.formats import FORMATS, base
from job.errors import BadInput, Refused
from job.records import ArtifactOptions, Format
from job.requests import SourceRequest

PROTOS = (Format.SAVED_MODEL, Format.META_GRAPH, Format.GRAPH_DEF)


def graph() -> graph_pb2.GraphDef:
    made = graph_pb2.GraphDef()
    made.node.add(name="x", op="Placeholder", device="/gpu:7").attr["dtype"].type = 1
    made.node.add(name="y", op="Neg", input=["x"]).attr["T"].type = 1
    return made


def saved_model(folder: Path, *tag_sets: Sequence[str], asset: str = "", text: bool = False) -> None:
    made = saved_model_pb2.SavedModel()
    for tags in tag_sets:
        meta = made.meta_graphs.add(graph_def=graph())
        meta.meta_info_def.tags.extend(tags)
        meta.meta_info_def.tensorflow_version = "+".join(tags)
        if asset:
            meta.asset_file_def.add(filename=asset).tensor_info.name = "x:0"
    path = folder / ("saved_model.pbtxt" if text else "saved_model.pb")
    path.write_bytes(text_format.MessageToString(made).encode() if text else made.SerializeToString())


def request(kind: Format, folder: Path, entry: str, **options: Any) -> SourceRequest:
    return SourceRequest(format=kind, directory=str(folder), entry=entry, options=ArtifactOptions(**options))


@pytest.mark.parametrize("text", [False, True], ids=["binary", "text"])
@pytest.mark.parametrize("kind", PROTOS, ids=lambda kind: kind.value)
def test_format_is_read_as_binary_and_as_text(tmp_path: Path, kind: Format, *, text: bool) -> None:
    """Each format gives the same graph from both encodings, told by content, whatever the suffix."""
    meta = meta_graph_pb2.MetaGraphDef(graph_def=graph())
    proto = graph() if kind == Format.GRAPH_DEF else meta
    data = text_format.MessageToString(proto).encode() if text else proto.SerializeToString()
    if kind == Format.SAVED_MODEL:
        saved_model(tmp_path, ["serve"], text=text)
    else:
        (tmp_path / "model.meta").write_bytes(data)
    entry = {Format.SAVED_MODEL: "", Format.META_GRAPH: "model", Format.GRAPH_DEF: "model.meta"}[kind]
    source = read_source(request(kind, tmp_path, entry))
    assert [(node.name, node.device) for node in source.graph.graph_def.node] == [("x", ""), ("y", "")]
    assert [spec.tensor for spec in source.signatures[0].outputs] == ["y:0"]


@pytest.mark.parametrize("kind", [Format.ARCHIVE, Format.UNREADABLE])
def test_format_without_a_reader_is_bad_input(tmp_path: Path, kind: Format) -> None:
    """A format that cannot be read is named."""
    with pytest.raises(BadInput, match=kind.value):
        read_source(request(kind, tmp_path, "model"))


@pytest.mark.parametrize(
    ("tag_sets", "chosen"),
    [
        ([["serve"]], "serve"),
        ([["train"], ["serve"], ["serve", "gpu"]], "serve"),
        ([[], ["train"]], ""),
        ([["train"], ["custom"]], "custom"),
        ([["train"]], "train"),
    ],
)
def test_tags_are_chosen_by_convention(tmp_path: Path, tag_sets: list[list[str]], chosen: str) -> None:
    """`serve` first, then Hub's empty set, else the only one that is not for training; a choice is said."""
    saved_model(tmp_path, *tag_sets)
    loaded = FORMATS[Format.SAVED_MODEL](request(Format.SAVED_MODEL, tmp_path, ""))
    assert loaded.meta_graph.meta_info_def.tensorflow_version == chosen
    assert [finding.code for finding in loaded.findings] == (["tags_chosen"] if len(tag_sets) > 1 else [])


def test_user_chooses_tags(tmp_path: Path) -> None:
    """Named tags are taken in any order; unknown ones are answered with those that there are."""
    saved_model(tmp_path, ["serve"], ["serve", "gpu"])
    read = FORMATS[Format.SAVED_MODEL]
    chosen = read(request(Format.SAVED_MODEL, tmp_path, "", tags=("gpu", "serve")))
    assert chosen.meta_graph.meta_info_def.tensorflow_version == "serve+gpu"
    with pytest.raises(BadInput, match="no MetaGraph is tagged tpu") as caught:
        read(request(Format.SAVED_MODEL, tmp_path, "", tags=("tpu",)))
    assert "serve; gpu,serve" in caught.value.remedy
    with pytest.raises(BadInput, match="did you mean 'serve'"):
        read(request(Format.SAVED_MODEL, tmp_path, "", tags=("sevre",)))


def test_ambiguous_tags_are_the_users_choice(tmp_path: Path) -> None:
    """Several MetaGraphs of which none is for serving are not guessed among."""
    saved_model(tmp_path, ["a"], ["b"])
    with pytest.raises(BadInput, match="none for serving") as caught:
        read_source(request(Format.SAVED_MODEL, tmp_path, ""))
    assert "a; b" in caught.value.remedy


@pytest.mark.parametrize("asset", ["../../etc/passwd", "/etc/passwd", "../assets/../../x"])
def test_asset_outside_the_model_is_not_read(tmp_path: Path, asset: str) -> None:
    """An asset's path that leaves the model is refused."""
    (tmp_path / "model").mkdir()
    saved_model(tmp_path / "model", ["serve"], asset=asset)
    with pytest.raises(Refused, match="lies outside the model"):
        read_source(request(Format.SAVED_MODEL, tmp_path, "model"))


def test_tf2_saved_model_is_bad_input(tmp_path: Path) -> None:
    """What TF2 wrote needs no conversion; the message says so, and not that variables are missing."""
    module = tf.Module()
    module.v = tf.Variable(2.0)
    module.f = tf.function(lambda x: x * module.v, input_signature=[tf.TensorSpec([None], tf.float32)])
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.f.get_concrete_function())
    with pytest.raises(BadInput, match=r"a TF2 SavedModel already; model; .*load it as it is"):
        read_source(request(Format.SAVED_MODEL, tmp_path, "model"))


def test_tf1_graph_with_objects_is_no_tf2_model(tmp_path: Path) -> None:
    """TF1's Keras wrote an object graph beside a TF1 graph with a TF1 saver, and an initialising signature."""
    saved_model(tmp_path, ["serve"])
    path = tmp_path / "saved_model.pb"
    made = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    meta = made.meta_graphs[0]
    meta.object_graph_def.nodes.add()
    meta.graph_def.node.add(name="save/restore_all", op="NoOp")
    meta.saver_def.restore_op_name = "save/restore_all"
    path.write_bytes(made.SerializeToString())
    assert read_source(request(Format.SAVED_MODEL, tmp_path, "")).signatures


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"\x0a\xff\xff\xff\x7f", "truncated or damaged"),
        (b"node { name: ", "the text is no GraphDef"),
        (b"node { nome: 'x' op: 3 }", "the text is no GraphDef"),
        ("node { name: 'é' ".encode("latin1"), "the text is no GraphDef"),
    ],
    ids=["empty", "cut", "cut text", "wrong text", "no UTF-8"],
)
def test_broken_file_is_bad_input(tmp_path: Path, data: bytes, says: str) -> None:
    """What does not parse is said in one line with the file's name."""
    (tmp_path / "frozen.pb").write_bytes(data)
    with pytest.raises(BadInput, match=says) as caught:
        base.parse(tmp_path / "frozen.pb", graph_pb2.GraphDef())
    assert caught.value.where == "frozen.pb"


def test_text_that_is_nested_too_deeply_is_bad_input(tmp_path: Path) -> None:
    """The parser of texts calls itself for every level; a file cannot end the process with that."""
    inner = "{ func { name: 'f' attr { key: 'k' value " * 3000 + "{}" + " } } }" * 3000
    path = tmp_path / "graph.pbtxt"
    path.write_text("node { name: 'x' op: 'F' attr { key: 'k' value " + inner + " } }")
    with pytest.raises(BadInput, match="no GraphDef"):
        base.parse(path, graph_pb2.GraphDef())


@pytest.mark.parametrize("kind", PROTOS, ids=lambda kind: kind.value)
def test_file_without_nodes_is_bad_input(tmp_path: Path, kind: Format) -> None:
    """TensorFlow reads such a file as an empty graph; here it is damaged."""
    name = "saved_model.pb" if kind == Format.SAVED_MODEL else "model.meta"
    (tmp_path / name).write_bytes(b"\x12\x00")
    entry = {Format.SAVED_MODEL: "", Format.META_GRAPH: "model", Format.GRAPH_DEF: "model.meta"}[kind]
    with pytest.raises(BadInput):
        read_source(request(kind, tmp_path, entry))


def test_file_over_two_gigabytes_is_bad_input(tmp_path: Path) -> None:
    """No protocol buffer can be larger; it is told by size, without reading."""
    with (tmp_path / "frozen.pb").open("wb") as file:
        file.truncate(2**31)
    with pytest.raises(BadInput, match="larger than the 2 GiB"):
        base.parse(tmp_path / "frozen.pb", graph_pb2.GraphDef())


def test_collection_that_holds_no_asset_is_bad_input() -> None:
    """What is packed in a collection and does not parse is told, and is no bug of ours."""
    meta = meta_graph_pb2.MetaGraphDef()
    packed = meta.collection_def["saved_model_assets"].any_list.value.add(value=b"\xff")
    with pytest.raises(BadInput, match="a collection holds no AssetFileDef"):
        base.unpack_any(packed, meta_graph_pb2.AssetFileDef())


def test_files_for_a_server_are_named_that_are_not_published(tmp_path: Path) -> None:
    """Warm-up requests of the old model are no part of its graph; whoever relied on them is told."""
    saved_model(tmp_path, ["serve"])
    before = read_source(request(Format.SAVED_MODEL, tmp_path, "")).findings
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / "assets.extra" / "tf_serving_warmup_requests").write_bytes(b"")
    (told,) = set(read_source(request(Format.SAVED_MODEL, tmp_path, "")).findings) - set(before)
    assert (told.code, "tf_serving_warmup_requests" in told.cause) == ("extra_assets_left_out", True)
