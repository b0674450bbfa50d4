import json
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from job.discovery import discover
from job.errors import BadInput, Denied, JobError, NoInput
from job.records import Artifact, Format, Listing
from job.storage import open_storage
from tests.sources import (
    CHECKPOINT_V1,
    GRAPH_DEF,
    HTML,
    LFS_POINTER,
    META_GRAPH,
    SAVED_MODEL,
    MemoryStorage,
    checkpoint,
    index,
    saved_model,
)

SHARED = Path(__file__).parents[2] / "shared"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared models and goldens are not there")

Files = Mapping[str, bytes | JobError]


def _discover(files: Files, only: str = "*", uri: str = "s3://bucket/models") -> Listing:
    return discover(MemoryStorage(files, uri), only=only)


def _one(files: Files) -> Artifact:
    (artifact,) = _discover(files).artifacts
    return artifact


def _keys(artifact: Artifact) -> list[str]:
    return [stored.key for stored in artifact.objects]


def _told(artifact: Artifact) -> str:
    assert artifact.problem is not None
    return f"{artifact.problem.code_name}: {artifact.problem.what}; {artifact.problem.where}; {artifact.problem.remedy}"


def _left(listing: Listing) -> dict[str, str]:
    return {left.key: left.reason for left in listing.left_alone}


def test_saved_model_takes_what_is_its_own() -> None:
    """Graph, variables, assets and companions belong to it; a graph and notes beside it do not."""
    own = {**saved_model("a/sm/"), "a/sm/assets.extra/x.bin": b"x", "a/sm/tfhub_module.pb": b"\x08\x03"}
    listing = _discover({**own, "a/sm/other/frozen.pb": GRAPH_DEF, "a/sm/notes.md": b"x", "a/sm/old.png": b"x"})
    model, graph = listing.artifacts
    assert (model.name, model.format, model.entry, model.problem) == ("a/sm", Format.SAVED_MODEL, "a/sm", None)
    assert _keys(model) == sorted(own)
    assert (graph.name, graph.format) == ("a/sm/other/frozen.pb", Format.GRAPH_DEF)
    assert sorted(_left(listing)) == ["a/sm/notes.md", "a/sm/old.png"]


def test_source_that_is_a_saved_model_is_named_by_its_uri() -> None:
    """The last part of the source's own path names what has no path below it."""
    (artifact,) = _discover(saved_model(""), uri="s3://bucket/models/resnet/").artifacts
    assert (artifact.name, artifact.entry) == ("resnet", "")


def test_text_saved_model_is_one() -> None:
    """``saved_model.pbtxt`` counts; where both are there the binary one is read."""
    text = b"saved_model_schema_version: 1\n"
    assert _one({"a/saved_model.pbtxt": text}).format is Format.SAVED_MODEL
    listing = _discover({"a/saved_model.pbtxt": text, "a/saved_model.pb": SAVED_MODEL})
    assert _keys(listing.artifacts[0]) == ["a/saved_model.pb"]
    assert "read instead" in _left(listing)["a/saved_model.pbtxt"]


def test_graph_def_alone_under_a_saved_models_name_is_taken_as_what_it_is() -> None:
    """With nothing beside that a SavedModel would have, the file is a GraphDef with an odd name."""
    artifact = _one({"a/saved_model.pb": GRAPH_DEF})
    assert (artifact.name, artifact.format, artifact.problem) == ("a/saved_model.pb", Format.GRAPH_DEF, None)


def test_graph_def_in_a_saved_models_place_is_told() -> None:
    """With variables beside it, something went wrong that must not be guessed."""
    artifact = _one(saved_model("a/", main=GRAPH_DEF))
    assert artifact.format is Format.SAVED_MODEL
    assert "bad_input: a GraphDef lies under the name saved_model.pb" in _told(artifact)
    assert "s3://bucket/models/a/saved_model.pb" in _told(artifact)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a/saved_model.pb": HTML}, "saved_model.pb is an HTML page"),
        ({"a/saved_model.pb": SAVED_MODEL[:-9]}, "a SavedModel that cannot be read: it is truncated"),
        ({"a/saved_model.pb": META_GRAPH}, "saved_model.pb is a MetaGraph"),
        ({"a/variables/variables.index": index()}, "no saved_model.pb beside variables/"),
        (
            {"a/saved_model.pb": SAVED_MODEL, "a/variables/variables.index": index(2)},
            "variables.data-00001-of-00002 are",
        ),
        (
            {**saved_model("a/"), "a/variables/variables.data-00000-of-00001": LFS_POINTER},
            "variables.data-00000-of-00001 is a Git LFS pointer",
        ),
    ],
)
def test_broken_saved_model_is_one_problem(files: dict[str, bytes], words: str) -> None:
    """Whatever is wrong with a SavedModel, it is one artifact with one line about it."""
    artifact = _one(files)
    assert (artifact.name, artifact.format) == ("a", Format.SAVED_MODEL)
    assert words in _told(artifact)


def test_graph_defs_are_told_by_content() -> None:
    """The name of the file does not matter, only what it holds."""
    files = {"a/frozen.pb": GRAPH_DEF, "a/model": GRAPH_DEF, "b.pbtxt": b"node {\n}\n", "c.pb": b"node {\n}\n"}
    listing = _discover(files)
    assert [artifact.name for artifact in listing.artifacts] == sorted(files)
    assert {artifact.format for artifact in listing.artifacts} == {Format.GRAPH_DEF}
    assert all(artifact.entry == artifact.name and artifact.problem is None for artifact in listing.artifacts)


@pytest.mark.parametrize(
    ("name", "data", "format_", "words"),
    [
        ("x.pb", LFS_POINTER, Format.UNREADABLE, "run `git lfs pull`"),
        ("x.pb", HTML, Format.UNREADABLE, "x.pb is an HTML page"),
        ("x.pb", b"", Format.UNREADABLE, "x.pb is empty"),
        ("x.pb", b"\x1f\x8b\x08" + bytes(50), Format.UNREADABLE, "a file compressed with gzip"),
        ("x.pb", b"\x1c\0\0\0TFL3" + bytes(50), Format.UNREADABLE, "TensorFlow Lite"),
        ("x.pb", bytes(range(255, 0, -1)), Format.UNREADABLE, "no TensorFlow graph"),
        ("x.PB", BadInput("the file is not there", where="x"), Format.UNREADABLE, "not there"),
        ("x.pbtxt", HTML, Format.UNREADABLE, "HTML page"),
        ("x.pb", GRAPH_DEF[:-2], Format.GRAPH_DEF, "a GraphDef that cannot be read: it is truncated"),
        (
            "x.pb",
            SAVED_MODEL,
            Format.SAVED_MODEL,
            "x.pb is a SavedModel; s3://bucket/models/x.pb; name it saved_model.pb",
        ),
        ("x.pb", META_GRAPH, Format.META_GRAPH, "x.pb is a MetaGraph"),
        ("x.idx", index(), Format.CHECKPOINT, "x.idx is a checkpoint's index"),
        ("x.h5", b"", Format.UNREADABLE, "x.h5 is empty"),
        ("x.ckpt", LFS_POINTER, Format.UNREADABLE, "Git LFS pointer"),
        ("x.tar.gz", HTML, Format.UNREADABLE, "x.tar.gz is an HTML page"),
        ("x.tgz", b"\x1f\x8b\x08" + bytes(50), Format.UNREADABLE, "a file compressed with gzip"),
        ("x.zip", LFS_POINTER, Format.UNREADABLE, "Git LFS pointer"),
        ("x.tar", b"", Format.UNREADABLE, "x.tar is empty"),
    ],
)
def test_file_that_promises_a_model_is_told_about(
    name: str, data: bytes | JobError, format_: Format, words: str
) -> None:
    """What claims to be a model and is none becomes an artifact with a problem, so that nobody misses it."""
    artifact = _one({name: data})
    assert artifact.format is format_
    assert artifact.problem is not None
    assert artifact.problem.exit_code == 40
    assert words in _told(artifact)


def test_other_files_are_left_alone_with_a_reason() -> None:
    """Honest files of other kinds are no fault; each is said to be what it is."""
    left = {
        "README.md": ".md files hold no models",
        "a.tflite": "it is a TensorFlow Lite model",
        "best.ckpt": "it is a PyTorch file",
        "data.h5": "it is an HDF5 file that Keras did not write",
        "._frozen.pb": "a Mac's notes about a file",
        "._m.ckpt.index": "a Mac's notes about a file",
        "._m.ckpt.meta": "a Mac's notes about a file",
        "checkpoint": "it belongs to a model that is not here",
        "data.gz": "it is a file compressed with gzip: unpack it and name what is inside",
        "events.out.tfevents.1.host": "it holds summaries of a training run",
        "labels.pbtxt": "it is a label map, which names a model's classes",
        "lib.jar": "it is a zip archive",
        "lost": "gone",
        "model.keras": "it is a Keras 3 model, which needs no conversion",
        "notes.pbtxt": "it is text that describes no graph",
        "pipeline.config": "it says how a detection model was trained",
        "model.data-00000-of-00001 (1)": "a checkpoint's data under a name that no index goes with",
    }
    files: Files = {
        **dict.fromkeys(left, b""),
        "a.tflite": b"\x1c\0\0\0TFL3",
        "best.ckpt": b"PK\x03\x04 archive/data.pkl",
        "data.h5": b"\x89HDF\r\n\x1a\n",
        "._frozen.pb": b"\0\5\x16\7\0\2\0\0Mac OS X",
        "data.gz": b"\x1f\x8b\x08" + bytes(50),
        "labels.pbtxt": b"item { id: 1 }",
        "lib.jar": b"PK\x03\x04 META-INF/",
        "lost": BadInput("gone"),
        "model.keras": b"PK\x03\x04 metadata.json config.json",
        "notes.pbtxt": b"model { ssd { } }",
        "x/frozen.pb": GRAPH_DEF,
    }
    assert _left(_discover(files)) == left


def test_checkpoint_with_meta_is_a_meta_graph() -> None:
    """All its files, the ``checkpoint`` file and texts beside it are pulled; the training graph as text is not."""
    files = {**checkpoint("run/model.ckpt-5", shards=2), "run/checkpoint": b"x", "run/vocab.txt": b"a"}
    listing = _discover({**files, "run/graph.pbtxt": b"node {\n}\n"})
    (artifact,) = listing.artifacts
    assert (artifact.name, artifact.format, artifact.problem) == ("run/model.ckpt-5", Format.META_GRAPH, None)
    assert artifact.entry == "run/model.ckpt-5"
    assert _keys(artifact) == sorted(files)
    assert "graph of a training run" in _left(listing)["run/graph.pbtxt"]


def test_checkpoint_whose_prefix_is_a_directory() -> None:
    """``Saver.save("run/")`` writes ``run/.meta``: the entry keeps the slash, the name does not."""
    artifact = _one(checkpoint("run/"))
    assert (artifact.name, artifact.entry, artifact.problem) == ("run", "run/", None)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"m.ckpt.meta": META_GRAPH}, "incomplete: m.ckpt.index, m.ckpt.data-00000-of-00001 are missing"),
        ({"m.ckpt.index": index(), "m.ckpt.meta": META_GRAPH}, "incomplete: m.ckpt.data-00000-of-00001 is missing"),
        ({"m.ckpt.data-00000-of-00001": b"x"}, "incomplete: m.ckpt.index is missing"),
        (
            {"m.ckpt.index": index(), "m.ckpt (1).data-00000-of-00001": b"x"},
            "m.ckpt.data-00000-of-00001 is missing; m.ckpt (1).data-00000-of-00001 may be a renamed part of it",
        ),
    ],
)
def test_incomplete_checkpoint_is_told_with_names(files: dict[str, bytes], words: str) -> None:
    """What is missing is named, and a file that may have been renamed is pointed at."""
    artifact = _one(files)
    assert words in _told(artifact)
    assert artifact.name == "m.ckpt"


@pytest.mark.parametrize(
    "files",
    [
        checkpoint("d/m.ckpt", meta=None, shards=2),
        {"d/m.ckpt": CHECKPOINT_V1},
        {"d/m.ckpt-00000-of-00002": CHECKPOINT_V1, "d/m.ckpt-00001-of-00002": CHECKPOINT_V1},
    ],
)
def test_weights_without_a_graph_are_the_engine_s_to_know(files: dict[str, bytes]) -> None:
    """A bare checkpoint of any version is no problem yet; what says how its model was built is pulled with it."""
    beside = {"d/bert_config.json": b"{}", "d/vocab.txt": b"a", "d/checkpoint": b"x"}
    texts = {f"d/{number:03}.txt": b"x" for number in range(150)}
    artifact = _one({**files, **beside, **texts})
    assert (artifact.format, artifact.entry, artifact.problem) == (Format.CHECKPOINT, "d/m.ckpt", None)
    assert {*files, "d/bert_config.json", "d/checkpoint"} <= set(_keys(artifact))
    assert "d/vocab.txt" in _keys(_one({**files, **beside}))


def test_newest_step_is_taken_with_or_without_a_graph() -> None:
    """Trainers that write the graph only once leave later steps without; the newest borrows it."""
    files = {**checkpoint("m-0", values=b"0"), **checkpoint("m-100", meta=None, values=b"1")}
    artifact = _one(files)
    assert (artifact.entry, artifact.format, artifact.problem) == ("m-100", Format.CHECKPOINT, None)
    assert _keys(artifact) == ["m-0.meta", "m-100.data-00000-of-00001", "m-100.index"]


def test_newest_step_is_taken() -> None:
    """Steps are numbers; the older one is left alone with the way to get it, and can be picked."""
    files = {**checkpoint("r/m-9"), **checkpoint("r/m-10"), **checkpoint("r/other-1"), "r/checkpoint": b"x"}
    listing = _discover(files)
    assert [artifact.name for artifact in listing.artifacts] == ["r/m-10", "r/other-1"]
    assert sorted(_left(listing)) == ["r/m-9.data-00000-of-00001", "r/m-9.index", "r/m-9.meta"]
    assert _left(listing)["r/m-9.meta"].endswith("pass --only 'r/m-9' or name it as the source")
    assert [artifact.name for artifact in _discover(files, only="r/m-9").artifacts] == ["r/m-9"]


def test_texts_go_with_the_nearest_model() -> None:
    """Vocabularies in a model's directory or below are pulled with it, unless another model is nearer."""
    files = {
        "a/frozen.pb": GRAPH_DEF,
        "a/v/vocab.txt": b"x",
        "a/b/c/labels.tsv": b"x",
        "a/b/other.pb": GRAPH_DEF,
        "a/big.bin": b"x",
        "z/vocab.txt": b"x",
        **saved_model("s/"),
        "s/beside.vocab": b"x",
    }
    listing = _discover(files)
    assert {artifact.name: _keys(artifact) for artifact in listing.artifacts} == {
        "a/b/other.pb": ["a/b/c/labels.tsv", "a/b/other.pb"],
        "a/frozen.pb": ["a/frozen.pb", "a/v/vocab.txt"],
        "s": sorted([*saved_model("s/"), "s/beside.vocab"]),
    }
    assert sorted(_left(listing)) == ["a/big.bin", "z/vocab.txt"]


def test_data_set_of_texts_is_not_pulled() -> None:
    """Of very many texts only those nearest to the model go with it."""
    files = {"frozen.pb": GRAPH_DEF, "vocab.txt": b"x", **{f"data/{number}.txt": b"x" for number in range(500)}}
    keys = _keys(_one(files))
    assert len(keys) == 101
    assert "vocab.txt" in keys


def test_names_are_unique() -> None:
    """A SavedModel and a checkpoint beside it may share a key, but not a place at the destination."""
    names = [artifact.name for artifact in _discover({**saved_model("a/m/"), **checkpoint("a/m")}).artifacts]
    assert names == ["a/m.meta_graph", "a/m.saved_model"]


def test_only_picks_by_name_or_directory() -> None:
    """What a glob does not fit is neither listed nor mentioned."""
    files = {"a/x.pb": GRAPH_DEF, "b/x.pb": GRAPH_DEF, "b/y.pb": HTML}
    listing = _discover(files, only="a")
    assert ([artifact.name for artifact in listing.artifacts], listing.left_alone) == (["a/x.pb"], ())


@pytest.mark.parametrize(
    ("files", "only", "words"),
    [
        ({}, "*", "the source is empty: 0 objects listed"),
        (
            {"x.onnx": b"\x08\x08\x12\x01p:\x00"},
            "*",
            "no TF1 model among the 1 objects listed; x.onnx, for one: it is an ONNX",
        ),
        ({"resnet/frozen.pb": GRAPH_DEF}, "resnet/frzen.pb", "none of 1 artifacts fits --only 'resnet/frzen.pb'"),
        ({"resnet/frozen.pb": GRAPH_DEF}, "resnet/frzen.pb", "the closest names are resnet/frozen.pb"),
        ({"resnet/frozen.pb": GRAPH_DEF}, "zzz", "the names are resnet/frozen.pb"),
    ],
)
def test_nothing_to_do_is_told(files: dict[str, bytes], only: str, words: str) -> None:
    """No model, or none that fits: the error names the source, what was listed and what would fit."""
    with pytest.raises(NoInput) as caught:
        _discover(files, only=only)
    assert words in str(caught.value)
    assert caught.value.where == "s3://bucket/models"


def test_refused_store_ends_discovery() -> None:
    """Credentials that do not suffice are no fault of one file."""
    with pytest.raises(Denied):
        _discover({"a.pb": Denied("no permission")})


def test_unsafe_keys_get_safe_names() -> None:
    """A key with ``..`` or control characters never becomes a path of that meaning."""
    names = [
        artifact.name for artifact in _discover(dict.fromkeys(["../x.pb", "a\n.pb", "a//b.pb"], GRAPH_DEF)).artifacts
    ]
    assert names == ["%2E%2E/x.pb", "a%0A.pb", "a/%/b.pb"]


def test_key_that_ends_in_a_slash_is_a_file_where_it_holds_something() -> None:
    """A console shows it as a directory; a model in it is found all the same, and what is empty marks a directory."""
    listing = _discover({"m.pb/": GRAPH_DEF, "note/": b"hello", "marker/": b""})
    assert [(one.name, one.entry) for one in listing.artifacts] == [("m.pb", "m.pb/")]
    assert [one.key for one in listing.left_alone] == ["note/"]


def test_100_000_objects_are_discovered_in_seconds() -> None:
    """The time grows with the number of objects, not with its square."""
    files: dict[str, bytes] = {f"images/{number % 300}/{number}.jpg": b"x" for number in range(95_000)}
    for number in range(1000):
        files |= {
            **checkpoint(f"runs/{number}/model.ckpt"),
            f"runs/{number}/vocab.txt": b"x",
            f"runs/{number}/f.pb": GRAPH_DEF,
        }
    started_s = time.monotonic()
    listing = _discover(files)
    assert time.monotonic() - started_s < 20
    assert (len(listing.artifacts), len(listing.left_alone)) == (2000, 95_000)


@pytest.mark.parametrize("name", ["x.zip", "x.tar.bz2", "x.tar", "x"])
def test_archive_is_one_artifact_until_it_is_opened(name: str) -> None:
    """Its content tells it, for bzip2 and xz its name; texts beside it are not its own."""
    data = {"zip": b"PK\x03\x04" + bytes(50), "bz2": b"BZh91AY&SY" + bytes(9)}
    content = data.get(name.rpartition(".")[2], tarfile.TarInfo("x").tobuf())
    artifact = _one({f"m/{name}": content, "m/notes.txt": b"x", "m/data.csv.bz2": data["bz2"]})
    assert (artifact.name, artifact.format, artifact.entry) == (f"m/{name}", Format.ARCHIVE, f"m/{name}")
    assert _keys(artifact) == [f"m/{name}"]


def test_archive_in_an_archive_is_left_alone() -> None:
    """Names in an archive follow the archive's, also in what is said about how to get an older step."""
    files = {"x.zip": b"PK\x03\x04" + bytes(50), **checkpoint("m-1"), **checkpoint("m-2")}
    listing = discover(MemoryStorage(files), only="*", under="a/b.tgz")
    assert [artifact.name for artifact in listing.artifacts] == ["a/b.tgz/m-2"]
    left = _left(listing)
    assert left["x.zip"].startswith("it is a zip archive within an archive, which is not opened")
    assert left["m-1.meta"] == "a/b.tgz/m-2 is newer; to convert this one, pass --only 'a/b.tgz/m-1'"
    root = discover(MemoryStorage(saved_model("")), only="*", under="a/b.tgz")
    assert [artifact.name for artifact in root.artifacts] == ["a/b.tgz"]


FORMATS = {
    "saved_model": Format.SAVED_MODEL,
    "hub_v1": Format.SAVED_MODEL,
    "frozen_pb": Format.GRAPH_DEF,
    "frozen_pbtxt": Format.GRAPH_DEF,
    "ckpt_meta": Format.META_GRAPH,
    "estimator_model_dir": Format.META_GRAPH,
    "ckpt_nometa": Format.CHECKPOINT,
    "keras_h5": Format.KERAS_H5,
    "keras_h5_weights_json": Format.KERAS_H5,
}
TOLD_BY_NAMES = {  # the other broken ones look sound from outside
    "corrupt_ckpt_index_truncated",
    "corrupt_ckpt_missing_data",
    "corrupt_ckpt_renamed",
    "corrupt_pb_empty",
    "corrupt_pb_html",
    "corrupt_pb_truncated",
}


@needs_shared
def test_goldens_are_found() -> None:
    """Every golden is found as what it is, broken ones with their problem, in less than 3 seconds."""
    started_s = time.monotonic()
    listing = discover(open_storage(str(SHARED / "goldens")), only="*", all_forms=True)
    assert time.monotonic() - started_s < 3
    found: dict[str, list[Artifact]] = {}
    for artifact in listing.artifacts:
        found.setdefault(artifact.name.partition("/")[0], []).append(artifact)
    for path in (SHARED / "goldens").glob("*/case.json"):
        case, kind = path.parent.name, FORMATS[json.loads(path.read_text())["format"]]
        broken = {artifact.name for artifact in found[case] if artifact.problem}
        assert kind in {artifact.format for artifact in found[case]} or case in ("corrupt_pb_empty", "corrupt_pb_html")
        assert bool(broken) == (case in TOLD_BY_NAMES), case
    assert "text_vocab_ckpt_meta/vocab.txt" in _keys(found["text_vocab_ckpt_meta"][0])


@needs_shared
def test_published_models_are_found() -> None:
    """Other people's models are found; only those without weights have a problem."""
    started_s = time.monotonic()
    listing = discover(open_storage(str(SHARED / "models")), only="*")
    assert time.monotonic() - started_s < 6
    folders = {"/".join(path.parts[-3:-1]) for path in (SHARED / "models").glob("[!o]*/*/*")}
    found = {"/".join(artifact.name.split("/")[:2]) for artifact in listing.artifacts}
    assert {folder for folder in found if not folder.startswith("opgraphs/")} == folders
    problems = {artifact.name for artifact in listing.artifacts if artifact.problem}
    assert problems == {
        "ckpt_meta/autoencoder_cf_noweights/model.ckpt",
        "ckpt_meta/musicnn_mtt_vgg_noweights",
        "savedmodel/zoo_saved_model_not_resource_noweights",
    }
    assert sum(artifact.name.startswith("opgraphs/") for artifact in listing.artifacts) == 1000
