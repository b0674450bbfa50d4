from collections.abc import Mapping

import pytest

from job.discovery import discover
from job.forms import is_bare
from job.records import Artifact, Format, Listing
from tests.sources import CHECKPOINT_V1, GRAPH_DEF, META_GRAPH, MemoryStorage, checkpoint, node

HDF5 = b"\x89HDF\r\n\x1a\n"
KERAS = HDF5 + b" layer_names"
UNFROZEN = node("x") + node("w", "VariableV2")
UNFROZEN_TEXT = b'node {\n  name: "x"\n  op: "Placeholder"\n}\nnode {\n  name: "w"\n  op: "VariableV2"\n}\n'
OTHER_UNFROZEN = node("a") + node("b", "VarHandleOp")


def _discover(files: Mapping[str, bytes], only: str = "*") -> Listing:
    return discover(MemoryStorage(files), only=only)


def _one(files: Mapping[str, bytes], only: str = "*") -> Artifact:
    (artifact,) = _discover(files, only).artifacts
    return artifact


def _keys(artifact: Artifact) -> list[str]:
    return [stored.key for stored in artifact.objects]


@pytest.mark.parametrize("name", ["m/model.h5", "m/model.hdf5", "m/old.keras", "m/weights"])
def test_keras_file_is_told_by_content(name: str) -> None:
    """Whatever its name, what Keras wrote as HDF5 is one artifact without a problem."""
    artifact = _one({name: KERAS, "m/test_inputs_and_outputs.h5": HDF5})
    assert (artifact.name, artifact.format, artifact.entry, artifact.problem) == (name, Format.KERAS_H5, name, None)
    assert _keys(artifact) == [name]


@pytest.mark.parametrize(
    ("weights", "beside", "paired"),
    [
        ("net.h5", ["net.json", "model.json"], "net.json"),
        ("net_weights.h5", ["net.json", "model.json"], "net.json"),
        ("weights.h5", ["model.json", "labels.json"], "model.json"),
        ("net.h5", ["architecture.json", "labels.json"], "architecture.json"),
        ("net.h5", ["anything.json"], "anything.json"),
    ],
)
def test_architecture_goes_with_its_weights(weights: str, beside: list[str], paired: str) -> None:
    """The JSON of the usual name, or the only one, is pulled with the weights and is no artifact of its own.

    Of a data set of texts only some are pulled, but never without this one.
    """
    files = {f"m/{weights}": KERAS, **{f"m/{name}": b"{}" for name in beside}}
    many = {f"m/{number:03}.txt": b"x" for number in range(200)}
    artifact = _one({**files, **many})
    assert f"m/{paired}" in _keys(artifact)
    assert artifact.entry == f"m/{weights}"


@pytest.mark.parametrize("graph", [{"m/graph.pbtxt": UNFROZEN_TEXT}, {"m/my_inf_graph.pb": UNFROZEN}])
@pytest.mark.parametrize("weights", [checkpoint("m/model.ckpt-7", meta=None), {"m/model.ckpt-7": CHECKPOINT_V1}])
def test_graph_beside_a_checkpoint_goes_with_it(graph: Mapping[str, bytes], weights: Mapping[str, bytes]) -> None:
    """Weights without ``.meta`` and a GraphDef that is not frozen are one artifact, named like the weights."""
    artifact = _one({**graph, **weights})
    assert (artifact.name, artifact.format, artifact.problem) == ("m/model.ckpt-7", Format.CHECKPOINT, None)
    assert _keys(artifact) == sorted([*graph, *weights])


def test_each_step_has_the_graph() -> None:
    """The newest is taken unless an older one is named; frozen graphs are no graphs for weights."""
    steps = {**checkpoint("m/model.ckpt-7", meta=None), **checkpoint("m/model.ckpt-9", meta=None)}
    files = {**steps, "m/graph.pbtxt": UNFROZEN_TEXT}
    assert _one(files).name == "m/model.ckpt-9"
    older = _one(files, "m/model.ckpt-7")
    assert older.problem is None
    assert "m/graph.pbtxt" in _keys(older)
    frozen = _discover({**checkpoint("m/a.ckpt", meta=None), "m/b.pb": GRAPH_DEF})
    assert [is_bare(artifact) for artifact in frozen.artifacts] == [True, False]


def test_of_several_graphs_the_one_of_the_same_name_is_taken() -> None:
    """Else the training run's; where neither is plain, all are pulled, and the engine names them."""
    weights = checkpoint("m/a.ckpt", meta=None)
    paired = _one({**weights, "m/a.pb": UNFROZEN, "m/b.pb": OTHER_UNFROZEN}, "m/a.ckpt")
    assert "m/a.pb" in _keys(paired)
    run = _one({**weights, "m/graph.pbtxt": UNFROZEN_TEXT, "m/b.pb": OTHER_UNFROZEN}, "m/a.ckpt")
    assert "m/graph.pbtxt" in _keys(run)
    same = _one({**weights, "m/c.pb": UNFROZEN, "m/c.pbtxt": UNFROZEN_TEXT}, "m/a.ckpt")
    assert not is_bare(same)
    unclear = _one({**weights, "m/b.pb": UNFROZEN, "m/c.pb": OTHER_UNFROZEN})
    assert is_bare(unclear)
    assert {"m/b.pb", "m/c.pb"} <= set(_keys(unclear))


def test_graph_without_values_beside_a_whole_checkpoint_is_left_alone() -> None:
    """The checkpoint has its own graph; that of another model stays an artifact."""
    files = {**checkpoint("m/net.ckpt"), "m/net_eval.pbtxt": UNFROZEN_TEXT, "m/other.pb": UNFROZEN}
    listing = _discover(files)
    assert [artifact.name for artifact in listing.artifacts] == ["m/net.ckpt", "m/other.pb"]
    assert "whose values are in a checkpoint beside it" in listing.left_alone[0].reason


def test_estimator_directory() -> None:
    """The newest checkpoint and every export are artifacts; graph, events and state are named for what they are."""
    files = {
        **checkpoint("run/model.ckpt-1", shards=2),
        **checkpoint("run/model.ckpt-30", shards=2),
        "run/checkpoint": b"x",
        "run/graph.pbtxt": UNFROZEN_TEXT,
        "run/events.out.tfevents.1.host": b"x",
        "run/eval/events.out.tfevents.2.host": b"x",
        "run/export/best/1500000000/saved_model.pbtxt": b"saved_model_schema_version: 1\n",
    }
    listing = _discover(files)
    assert [artifact.name for artifact in listing.artifacts] == ["run/export/best/1500000000", "run/model.ckpt-30"]
    assert all(artifact.problem is None for artifact in listing.artifacts)
    left = {one.key: one.reason for one in listing.left_alone}
    assert "graph of a training run" in left["run/graph.pbtxt"]
    assert "summaries" in left["run/events.out.tfevents.1.host"]
    assert sum("is newer" in reason for reason in left.values()) == 4


def test_session_bundle_brings_its_assets() -> None:
    """TensorFlow's exporter of 2016 wrote ``export`` with a sharded checkpoint, and assets of any name."""
    files = {
        "m/00000123/export.meta": META_GRAPH,
        "m/00000123/export-00000-of-00002": CHECKPOINT_V1,
        "m/00000123/export-00001-of-00002": CHECKPOINT_V1,
        "m/00000123/assets/words": b"a\n",
    }
    artifact = _one(files)
    assert (artifact.name, artifact.format, artifact.problem) == ("m/00000123/export", Format.META_GRAPH, None)
    assert _keys(artifact) == sorted(files)


def test_sharded_v1_checkpoint_with_a_step() -> None:
    """The step is the prefix's, the shards' numbers follow it."""
    files = {
        "model.ckpt-5.meta": META_GRAPH,
        "model.ckpt-5-00000-of-00002": CHECKPOINT_V1,
        "model.ckpt-5-00001-of-00002": CHECKPOINT_V1,
    }
    artifact = _one(files)
    assert (artifact.entry, artifact.problem, _keys(artifact)) == ("model.ckpt-5", None, sorted(files))
