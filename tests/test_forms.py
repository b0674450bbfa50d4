from collections.abc import Mapping
from pathlib import Path

import pytest

from job.discovery import discover
from job.records import Format, Listing
from job.storage import open_source
from tests.sources import GRAPH_DEF, HTML, VERSIONS, MemoryStorage, checkpoint, node, saved_model

ZOO: Mapping[str, bytes] = {
    **saved_model("ssd/saved_model/"),
    **checkpoint("ssd/model.ckpt"),
    "ssd/checkpoint": b"x",
    "ssd/frozen_inference_graph.pb": GRAPH_DEF,
    "ssd/pipeline.config": b"model { }",
}
TEXT = b'node {\n  name: "x"\n  op: "Placeholder"\n}\nnode {\n  name: "y"\n  op: "Identity"\n}\n'
UNFROZEN = node("x") + node("w", "VariableV2")
OTHER_UNFROZEN = node("a") + node("b", "VarHandleOp")
OTHER = node("a") + node("b", "Relu") + VERSIONS


def _discover(files: Mapping[str, bytes], only: str = "*", *, all_forms: bool = False) -> Listing:
    return discover(MemoryStorage(files), only=only, all_forms=all_forms)


def _names(files: Mapping[str, bytes], only: str = "*", *, all_forms: bool = False) -> list[str]:
    return [artifact.name for artifact in _discover(files, only, all_forms=all_forms).artifacts]


def test_of_a_zoo_directory_the_saved_model_is_taken() -> None:
    """It keeps most; the other forms' files are left alone, each with the two ways to get it."""
    listing = _discover(ZOO)
    assert [artifact.name for artifact in listing.artifacts] == ["ssd/saved_model"]
    left = {one.key: one.reason for one in listing.left_alone}
    assert sorted(left) == [
        "ssd/checkpoint",
        "ssd/frozen_inference_graph.pb",
        "ssd/model.ckpt.data-00000-of-00001",
        "ssd/model.ckpt.index",
        "ssd/model.ckpt.meta",
        "ssd/pipeline.config",
    ]
    assert left["ssd/frozen_inference_graph.pb"] == (
        "ssd/saved_model is another form of this model and keeps more of it; "
        "to convert this form too, pass --all-forms or --only 'ssd/frozen_inference_graph.pb'"
    )
    assert left["ssd/model.ckpt.meta"].endswith("--only 'ssd/model.ckpt'")


def test_forms_fall_back_in_their_order() -> None:
    """Without a SavedModel the checkpoint is taken, without that the frozen graph."""
    without_saved_model = {key: data for key, data in ZOO.items() if "saved_model" not in key}
    assert _names(without_saved_model) == ["ssd/model.ckpt"]
    frozen = {key: data for key, data in without_saved_model.items() if "ckpt" not in key}
    assert _names(frozen) == ["ssd/frozen_inference_graph.pb"]


def test_all_forms_are_taken_on_request() -> None:
    """--all-forms converts each; of steps it still takes the newest."""
    files = {**ZOO, **checkpoint("t/m-1"), **checkpoint("t/m-2")}
    assert _names(files, all_forms=True) == [
        "ssd/frozen_inference_graph.pb",
        "ssd/model.ckpt",
        "ssd/saved_model",
        "t/m-2",
    ]


@pytest.mark.parametrize("only", ["ssd/frozen_inference_graph.pb", "*/frozen*", "*.pb"])
def test_lesser_form_is_taken_where_only_names_it(only: str) -> None:
    """A pattern that no better form fits asks for that one."""
    assert _names(ZOO, only) == ["ssd/frozen_inference_graph.pb"]


def test_lesser_form_is_taken_where_it_is_the_source(tmp_path: Path) -> None:
    """A source that names the file is about that file."""
    for key, data in ZOO.items():
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_bytes(data)
    listing = discover(open_source(str(tmp_path / "ssd" / "frozen_inference_graph.pb")), only="*")
    assert [artifact.name for artifact in listing.artifacts] == ["frozen_inference_graph.pb"]
    listing = discover(open_source(str(tmp_path / "ssd" / "model.ckpt")), only="*")
    assert [artifact.name for artifact in listing.artifacts] == ["model.ckpt"]


@pytest.mark.parametrize(
    ("files", "taken"),
    [
        ({"m/a.pb": GRAPH_DEF, "m/b.pb": GRAPH_DEF}, ["m/a.pb", "m/b.pb"]),
        ({"m/model.pb": GRAPH_DEF, "m/frozen_model.pb": GRAPH_DEF}, ["m/frozen_model.pb", "m/model.pb"]),
        ({"m/net.pb": GRAPH_DEF, **checkpoint("m/model.ckpt")}, ["m/model.ckpt", "m/net.pb"]),
        ({"m/a_frozen.pb": GRAPH_DEF, **checkpoint("m/a.ckpt"), **checkpoint("m/b.ckpt")}, ["m/a.ckpt", "m/b.ckpt"]),
        ({"m/frozen.pb": GRAPH_DEF, **checkpoint("n/model.ckpt")}, ["m/frozen.pb", "n/model.ckpt"]),
        ({"m/frozen.pb": GRAPH_DEF, **saved_model("m/other/")}, ["m/frozen.pb", "m/other"]),
        ({"m/frozen.pb": GRAPH_DEF, **saved_model("m/1/"), **saved_model("m/2/")}, ["m/1", "m/2", "m/frozen.pb"]),
        ({"m/x_frozen.pb": GRAPH_DEF, **saved_model("m/y_saved_model/")}, ["m/x_frozen.pb", "m/y_saved_model"]),
        ({"m/y_frozen.pb": GRAPH_DEF, **saved_model("m/y_saved_model/")}, ["m/y_saved_model"]),
        ({"m/x.pb": GRAPH_DEF, "m/x_quantized.pb": GRAPH_DEF, **checkpoint("m/x")}, ["m/x", "m/x_quantized.pb"]),
        ({"m/frozen_model.pb": GRAPH_DEF, **saved_model("m/")}, ["m"]),
        ({"frozen_model.pb": GRAPH_DEF, **saved_model("")}, ["models"]),
        ({"m/model.pb": GRAPH_DEF, **checkpoint("m/model.ckpt-7"), **checkpoint("m/model.ckpt-5")}, ["m/model.ckpt-7"]),
        (
            {"m/model.pb": GRAPH_DEF, **checkpoint("m/ckpt"), **checkpoint("m/model")},
            ["m/ckpt", "m/model", "m/model.pb"],
        ),
    ],
)
def test_no_other_model_is_left_out(files: Mapping[str, bytes], taken: list[str]) -> None:
    """Only names that say the same in one directory make forms of one model, and only one of each kind."""
    assert _names(files) == taken


def test_graph_as_text_beside_its_bytes_is_one_model() -> None:
    """Whatever the two are called, their nodes tell; a text that holds another graph is another model."""
    listing = _discover({"m/frozen_model.pb": GRAPH_DEF, "m/frozen_graph.pbtxt": TEXT})
    assert [artifact.name for artifact in listing.artifacts] == ["m/frozen_model.pb"]
    assert listing.left_alone[0].reason.startswith("m/frozen_model.pb holds the same graph; to convert this form too")
    assert _names({"m/model.pb": OTHER, "m/model.pbtxt": TEXT}) == ["m/model.pb", "m/model.pbtxt"]
    assert _names({"m/model.pb": GRAPH_DEF, "m/net.pbtxt": TEXT}) == ["m/model.pb", "m/net.pbtxt"]


def test_broken_form_is_told_and_does_not_replace_a_sound_one() -> None:
    """Damage is never hidden behind another form, and what is broken keeps nothing."""
    listing = _discover({**ZOO, "ssd/saved_model/saved_model.pb": HTML})
    assert [(artifact.name, artifact.problem is None) for artifact in listing.artifacts] == [
        ("ssd/model.ckpt", True),
        ("ssd/saved_model", False),
    ]


def test_broken_newest_step_names_a_whole_one() -> None:
    """A training that was stopped leaves a step half written: it is not replaced silently, and the way out is told."""
    files = {**checkpoint("t/m-1"), **checkpoint("t/m-2"), **checkpoint("t/m-3")}
    del files["t/m-3.data-00000-of-00001"], files["t/m-2.data-00000-of-00001"]
    (artifact,) = _discover(files).artifacts
    assert artifact.name == "t/m-3"
    assert artifact.problem is not None
    assert artifact.problem.remedy.endswith("; or take an older step by --only 't/m-1'")
    assert _names(files, "t/m-1") == ["t/m-1"]


def test_weights_without_a_graph_are_left_alone_beside_a_sound_form() -> None:
    """The frozen graph holds the same weights, and its graph is its own; they are taken where they are asked for."""
    files = {"m/x_frozen.pb": GRAPH_DEF, **checkpoint("m/x.ckpt", meta=None)}
    listing = _discover(files)
    assert [(artifact.name, artifact.format) for artifact in listing.artifacts] == [("m/x_frozen.pb", Format.GRAPH_DEF)]
    assert "this one is weights without their graph; to convert this form too" in listing.left_alone[0].reason
    assert _names(files, only="m/x.ckpt") == ["m/x.ckpt"]
    assert _names(files, all_forms=True) == ["m/x.ckpt", "m/x_frozen.pb"]
    unclear = {**files, "m/a.pb": UNFROZEN, "m/b.pb": OTHER_UNFROZEN}
    assert _names(unclear) == ["m/x_frozen.pb"]


def test_weights_whose_graph_is_found_are_the_better_form() -> None:
    """With the MetaGraph of a copy elsewhere the checkpoint keeps its variables, which a frozen graph has not."""
    files = {"m/x_frozen.pb": GRAPH_DEF, **checkpoint("m/x.ckpt", meta=None), **checkpoint("n/y.ckpt")}
    assert _names(files) == ["m/x.ckpt", "n/y.ckpt"]


def test_texts_stay_with_the_form_that_is_taken() -> None:
    """A vocabulary that the taken form brings along is not said to be left alone."""
    files = {**ZOO, "ssd/vocab.txt": b"a", "ssd/saved_model/words.txt": b"a"}
    left = {one.key: one.reason for one in _discover(files).left_alone}
    assert "ssd/saved_model/words.txt" not in left
    assert left["ssd/vocab.txt"] == "it goes with a model that is left alone"
