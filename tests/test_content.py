import io
import random
import tarfile
import time
import zipfile
from pathlib import Path
from typing import Literal

import pytest

from job.content import HEAD_BYTES, MEANINGS, Kind, sniff
from tests.sources import (
    CHECKPOINT_V1,
    GRAPH_DEF,
    HTML,
    LFS_POINTER,
    LIBRARY,
    META_GRAPH,
    OP_LIST,
    SAVED_MODEL,
    TABLE_END,
    VERSIONS,
    field,
    index,
    node,
)

SHARED = Path(__file__).parents[2] / "shared"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared models and goldens are not there")


def _zip(*names: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return data.getvalue()


def _tar(mode: Literal["w", "w:gz", "w:bz2", "w:xz"] = "w") -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=mode) as archive:
        archive.addfile(tarfile.TarInfo("saved_model.pb"))
    return data.getvalue()


def _old_tar() -> bytes:
    """Return a tar without the mark that later ones have, but with a checksum."""
    header = tarfile.TarInfo("saved_model.pb").tobuf(tarfile.USTAR_FORMAT)
    blank = header[:148] + b" " * 8 + header[156:257] + bytes(255)
    return blank[:148] + b"%06o\0 " % sum(blank) + blank[156:] + bytes(1024)


ONNX = field(1, 8) + field(2, b"pytorch") + field(7, field(1, b"graph"))
HDF5 = b"\x89HDF\r\n\x1a\n" + bytes(200)
SNAPPY_INDEX = b"\x20\x1c" + index()[:8] + b"\x01\x02" + TABLE_END  # the block's size, then a literal of 8 bytes

SAMPLES: dict[str, tuple[bytes, Kind]] = {
    "SavedModel": (SAVED_MODEL, Kind.SAVED_MODEL),
    "SavedModel without a schema version": (field(2, META_GRAPH), Kind.SAVED_MODEL),
    "SavedModel without meta info": (field(1, 1) + field(2, field(2, GRAPH_DEF)), Kind.SAVED_MODEL),
    "MetaGraph": (META_GRAPH, Kind.META_GRAPH),
    "MetaGraph without meta info": (field(2, GRAPH_DEF), Kind.META_GRAPH),
    "MetaGraph with ops only": (field(1, field(1, b"v1") + field(2, OP_LIST)) + field(2, b""), Kind.META_GRAPH),
    "GraphDef": (GRAPH_DEF, Kind.GRAPH_DEF),
    "GraphDef, versions first": (VERSIONS + node(), Kind.GRAPH_DEF),
    "GraphDef, library first": (LIBRARY + node(), Kind.GRAPH_DEF),
    "GraphDef with an empty library": (node() + field(2, b"") + VERSIONS, Kind.GRAPH_DEF),
    "GraphDef that starts like JSON": (node("n" * 34, "C" * 85), Kind.GRAPH_DEF),
    "SavedModel text": (b"saved_model_schema_version: 1\nmeta_graphs {\n}\n", Kind.SAVED_MODEL_TEXT),
    "SavedModel text, no version": (b"meta_graphs {\n}\n", Kind.SAVED_MODEL_TEXT),
    "MetaGraph text": (b"meta_info_def {\n  tags: 'serve'\n}\n", Kind.META_GRAPH_TEXT),
    "GraphDef text": (b"# a comment\n\nnode {\n  name: 'x'\n}\n", Kind.GRAPH_DEF_TEXT),
    "GraphDef text, marked": (b"\xef\xbb\xbfversions < producer: 21 >", Kind.GRAPH_DEF_TEXT),
    "index": (index(), Kind.CHECKPOINT_INDEX),
    "compressed index": (SNAPPY_INDEX, Kind.CHECKPOINT_INDEX),
    "V1 checkpoint": (CHECKPOINT_V1, Kind.CHECKPOINT_V1),
    "Keras HDF5": (HDF5 + b"layer_names", Kind.KERAS_H5),
    "other HDF5": (HDF5, Kind.HDF5),
    "Keras 3": (_zip("metadata.json", "config.json", "model.weights.h5"), Kind.KERAS_ZIP),
    "PyTorch zip": (_zip("archive/data.pkl", "archive/version"), Kind.PYTORCH),
    "PyTorch pickle": (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", Kind.PYTORCH),
    "zip": (_zip("saved_model.pb"), Kind.ZIP),
    "gzip": (b"\x1f\x8b\x08" + bytes(20), Kind.GZIP),
    "tar": (_tar(), Kind.TAR),
    "tar of 1979": (_old_tar(), Kind.TAR),
    "tar, gzip": (_tar("w:gz"), Kind.TAR),
    "tar, bzip2": (_tar("w:bz2"), Kind.BZIP2),
    "tar, xz": (_tar("w:xz"), Kind.XZ),
    "TFLite": (b"\x1c\0\0\0TFL3" + bytes(20), Kind.TFLITE),
    "ONNX": (ONNX, Kind.ONNX),
    "Git LFS": (LFS_POINTER, Kind.GIT_LFS_POINTER),
    "HTML": (HTML, Kind.HTML),
    "HTML after blanks": (b"\n\n  <HTML lang='en'>", Kind.HTML),
    "XML": (b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>', Kind.XML),
    "JSON": (b'{"error": "not found"}', Kind.JSON),
    "label map": (b"item {\n  id: 1\n  name: 'cat'\n}\n", Kind.LABEL_MAP),
    "training configuration": (b"model {\n  ssd {\n  }\n}\n", Kind.TEXT),
    "empty": (b"", Kind.EMPTY),
    "noise": (bytes(range(255, 0, -1)) * 4, Kind.UNKNOWN),
    "zeros": (bytes(5000), Kind.UNKNOWN),
    "other protocol buffer": (field(1, 3), Kind.UNKNOWN),
    "file descriptors": (field(1, field(1, b"a.proto") + field(2, b"pkg") + field(12, b"proto3")), Kind.UNKNOWN),
}


@pytest.mark.parametrize(("data", "kind"), SAMPLES.values(), ids=SAMPLES.keys())
def test_sniff_tells_formats_by_their_bytes(data: bytes, kind: Kind) -> None:
    """Each format is told from all others, and a whole file shows no damage."""
    content = sniff(data, len(data))
    assert (content.kind, content.damage) == (kind, "")


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_a_meaning_and_a_remedy(kind: Kind) -> None:
    """Whatever a file turns out to be, its owner is told what that is and what to do."""
    meaning, remedy = MEANINGS[kind]
    assert meaning
    assert remedy


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (node("weights", "Const", bytes(200_000)) + VERSIONS, Kind.GRAPH_DEF),
        (node() * 20_000, Kind.GRAPH_DEF),
        (field(2, field(1, field(1, field(1, b"f"))) * 20_000) + node(), Kind.GRAPH_DEF),
        (field(1, field(2, OP_LIST * 10_000)) + field(2, GRAPH_DEF), Kind.META_GRAPH),
        (field(1, 1) + field(2, META_GRAPH + field(2, GRAPH_DEF * 10_000)), Kind.SAVED_MODEL),
        (b"\0\0" + field(0, field(1, field(1, field(1, b"w" * 30)) * 9000))[1:] + TABLE_END, Kind.CHECKPOINT_V1),
    ],
    ids=["node", "nodes", "library", "ops", "saved_model", "v1"],
)
def test_head_that_ends_anywhere_is_no_damage(data: bytes, kind: Kind) -> None:
    """Large files are told by their first bytes, wherever these happen to end."""
    assert len(data) > HEAD_BYTES
    for head_bytes in (HEAD_BYTES, HEAD_BYTES - 1, HEAD_BYTES - 7, 1000):
        content = sniff(data[:head_bytes], len(data))
        assert (content.kind, content.damage) == (kind, "")


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (SAVED_MODEL[:-5], Kind.SAVED_MODEL, f"ends at byte {len(SAVED_MODEL)}, the file at {len(SAVED_MODEL) - 5}"),
        (META_GRAPH[:-5], Kind.META_GRAPH, "truncated"),
        (GRAPH_DEF[:-2], Kind.GRAPH_DEF, "truncated"),
        (node() + node("y")[:1], Kind.GRAPH_DEF, f"truncated at byte {len(node()) + 1}"),
        (node() + b"\xff\xff\xff", Kind.GRAPH_DEF, "truncated"),
        (node() + b"\x0f\x00 garbage", Kind.GRAPH_DEF, f"broken at byte {len(node())}"),
        (VERSIONS, Kind.GRAPH_DEF, "no nodes"),
        (index()[:-20], Kind.CHECKPOINT_INDEX, "truncated"),
        (CHECKPOINT_V1[:-20], Kind.CHECKPOINT_V1, "truncated"),
    ],
)
def test_damage_is_seen_where_the_head_proves_it(data: bytes, kind: Kind, words: str) -> None:
    """A declared length behind the file's end, bytes that cannot follow and a missing end of a table are damage."""
    content = sniff(data, len(data))
    assert content.kind is kind
    assert words in content.damage


def test_length_behind_the_end_of_a_large_file_is_damage() -> None:
    """A truncated SavedModel shows itself by its first field, however large it is."""
    data = field(1, 1) + field(2, META_GRAPH + field(2, GRAPH_DEF * 10_000))
    assert "truncated" in sniff(data[:HEAD_BYTES], len(data) - 1).damage
    assert sniff(data[:HEAD_BYTES], len(data)).damage == ""


def test_index_says_how_many_data_files_it_needs() -> None:
    """The number is the index's own, not one of a file name; an absurd one makes it no index."""
    assert sniff(index(17), len(index(17))).shard_count == 17
    assert sniff(index(2**60), len(index(2**60))).kind is Kind.UNKNOWN


def test_random_bytes_are_no_model() -> None:
    """None of 20,000 random files is taken for more than the two bytes of gzip."""
    source = random.Random(0)  # noqa: S311 - no secret
    kinds = {sniff(source.randbytes(300), 300).kind for _ in range(20_000)}
    assert kinds <= {Kind.UNKNOWN, Kind.GZIP}


def test_cut_anywhere_never_raises() -> None:
    """Every beginning of every sample can be sniffed."""
    for data, _ in SAMPLES.values():
        for length in range(min(len(data), 120)):
            assert isinstance(sniff(data[:length], len(data)).kind, Kind)


@pytest.mark.parametrize("op", ["Variable", "VariableV2", "VarHandleOp"])
def test_graph_with_variables_is_told_from_a_frozen_one(op: str) -> None:
    """Binary and text say the same; an op whose name only begins like a variable's is none."""
    text = f'node {{\n  name: "x"\n  op: "Placeholder"\n}}\nnode {{\n  name: "w"\n  op: "{op}"\n}}\n'.encode()
    for data in (node("x") + node("w", op), text):
        content = sniff(data, len(data))
        assert (content.has_variables, content.nodes) == (True, ("x Placeholder", f"w {op}"))
    assert not sniff(GRAPH_DEF, len(GRAPH_DEF)).has_variables
    other = node("w", f"{op}Shape")
    assert not sniff(other, len(other)).has_variables


@needs_shared
def test_real_files_are_told() -> None:
    """Every file of the shared models is of the kind that its name promises; in under 3 s without the disk."""
    started_s = time.process_time()
    kinds: dict[str, set[Kind]] = {}
    for path in (SHARED / "models").rglob("*"):
        if path.is_file() and path.suffix in (".pb", ".pbtxt", ".meta", ".index", ".h5", ".hdf5"):
            with path.open("rb") as file:
                content = sniff(file.read(HEAD_BYTES), path.stat().st_size)
            kinds.setdefault(path.name if path.name.startswith(("saved_model.", "tfhub_")) else path.suffix, set()).add(
                content.kind
            )
            assert content.damage == "", path
    assert time.process_time() - started_s < 3
    assert kinds == {
        "saved_model.pb": {Kind.SAVED_MODEL},
        "saved_model.pbtxt": {Kind.SAVED_MODEL_TEXT},
        "tfhub_module.pb": {Kind.UNKNOWN},
        ".pb": {Kind.GRAPH_DEF, Kind.GRAPH_DEF_TEXT},  # one text file is named .pb
        ".pbtxt": {Kind.GRAPH_DEF_TEXT},
        ".meta": {Kind.META_GRAPH},
        ".index": {Kind.CHECKPOINT_INDEX},
        ".h5": {Kind.KERAS_H5, Kind.HDF5},
        ".hdf5": {Kind.KERAS_H5},
    }
