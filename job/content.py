"""What a file is, told by its first bytes and never by its name."""

import hashlib
import re
import tarfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from job.messages import (
    first_nodes,
    first_nodes_of_text,
    has_variables,
    is_graph_def,
    is_meta_graph,
    is_onnx,
    is_saved_model,
)
from job.wire import Field, Walk, walk

HEAD_BYTES: Final = 65_536
"""How much of a file `sniff` wants to see; every format below shows itself in less."""


class Kind(str, Enum):
    """What a file's bytes say it is."""

    SAVED_MODEL = "saved_model"
    SAVED_MODEL_TEXT = "saved_model_text"
    META_GRAPH = "meta_graph"
    META_GRAPH_TEXT = "meta_graph_text"
    GRAPH_DEF = "graph_def"
    GRAPH_DEF_TEXT = "graph_def_text"
    CHECKPOINT_INDEX = "checkpoint_index"
    CHECKPOINT_V1 = "checkpoint_v1"
    KERAS_H5 = "keras_h5"
    KERAS_ZIP = "keras_zip"
    HDF5 = "hdf5"
    TFLITE = "tflite"
    ONNX = "onnx"
    PYTORCH = "pytorch"
    ZIP = "zip"
    TAR = "tar"
    GZIP = "gzip"
    BZIP2 = "bzip2"
    XZ = "xz"
    GIT_LFS_POINTER = "git_lfs_pointer"
    HTML = "html"
    XML = "xml"
    JSON = "json"
    LABEL_MAP = "label_map"
    TEXT = "text"
    EMPTY = "empty"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What `sniff` found: the kind, and what is wrong with it.

    `shard_count` is a checkpoint index's number of data files. Of a GraphDef, `nodes` are the
    first ones, each as its name and op, and `has_variables` says that some were seen: such a graph is not frozen.
    `digest` is the SHA-256 of what was seen of a checkpoint's index, all of most.
    """

    kind: Kind
    damage: str = ""
    shard_count: int = 0
    nodes: tuple[str, ...] = ()
    has_variables: bool = False
    digest: str = ""


_GIVE_ORIGIN: Final = "give the SavedModel, frozen GraphDef or checkpoint with .meta that it was made from"
_UNPACK: Final = "unpack it and name what is inside"
_COPY_AGAIN: Final = "copy the file again from where it is whole"

MEANINGS: Final[Mapping[Kind, tuple[str, str]]] = {
    Kind.SAVED_MODEL: ("a SavedModel", "name it saved_model.pb, in a directory of its own beside its variables/"),
    Kind.SAVED_MODEL_TEXT: (
        "a SavedModel as text",
        "name it saved_model.pbtxt, in a directory of its own beside its variables/",
    ),
    Kind.META_GRAPH: ("a MetaGraph", "name it like its checkpoint, and .meta, and put it beside that"),
    Kind.META_GRAPH_TEXT: ("a MetaGraph as text", "name it like its checkpoint, and .meta, and put it beside that"),
    Kind.GRAPH_DEF: ("a GraphDef", "give it a name of its own, such as frozen.pb"),
    Kind.GRAPH_DEF_TEXT: ("a GraphDef as text", "give it a name of its own, such as frozen.pbtxt"),
    Kind.CHECKPOINT_INDEX: ("a checkpoint's index", "name it like its data files, and .index"),
    Kind.CHECKPOINT_V1: (
        "a checkpoint of the first format",
        "put it beside its .meta, under the same name without .meta",
    ),
    Kind.KERAS_H5: ("a Keras HDF5 model", "give it a name of its own, such as model.h5"),
    Kind.KERAS_ZIP: ("a Keras 3 model, which needs no conversion", "load it by keras.saving.load_model"),
    Kind.HDF5: ("an HDF5 file that Keras did not write", "give a Keras model or a TensorFlow graph"),
    Kind.TFLITE: ("a TensorFlow Lite model", _GIVE_ORIGIN),
    Kind.ONNX: ("an ONNX model", _GIVE_ORIGIN),
    Kind.PYTORCH: ("a PyTorch file", "give a TensorFlow model"),
    Kind.ZIP: ("a zip archive", _UNPACK),
    Kind.TAR: ("a tar archive", _UNPACK),
    Kind.GZIP: ("a file compressed with gzip", _UNPACK),
    Kind.BZIP2: ("a file compressed with bzip2", _UNPACK),
    Kind.XZ: ("a file compressed with xz", _UNPACK),
    Kind.GIT_LFS_POINTER: (
        "a Git LFS pointer, not the file itself",
        "run `git lfs pull` in its repository and copy it again",
    ),
    Kind.HTML: ("an HTML page", "download the file itself; this may be an error or a login page"),
    Kind.XML: ("an XML document", "download the file itself; this may be a store's error message"),
    Kind.JSON: ("a JSON document", "give the file that holds the graph"),
    Kind.LABEL_MAP: ("a label map, which names a model's classes", "give the file that holds the graph"),
    Kind.TEXT: ("text that describes no graph", "give the file that holds the graph"),
    Kind.EMPTY: ("empty", _COPY_AGAIN),
    Kind.UNKNOWN: ("of no format that is known here, and no TensorFlow graph", _COPY_AGAIN),
}
"""What a user is told: "it is ...", and what to do where that was not wanted."""


def sniff(head: bytes, size_bytes: int) -> Content:
    """Tell a file by `head`, its first `HEAD_BYTES` bytes, and its whole size.

    `Content.damage` is set where the bytes seen prove that the file is cut or broken; a file that
    merely goes on behind `head` is sound.
    """
    if size_bytes == 0 or not head:
        return Content(kind=Kind.EMPTY)
    for told in (_by_wire, _by_table, _by_magic, _by_text):  # a GraphDef may start like text: with a line feed
        content = told(head, size_bytes)
        if content.kind is not Kind.UNKNOWN:
            return content
    return _UNKNOWN


_UNKNOWN: Final = Content(kind=Kind.UNKNOWN)


def _by_wire(head: bytes, size_bytes: int) -> Content:
    """Tell a protocol buffer by the shape of its first fields."""
    seen = walk(head)
    kind = next((kind for told, kind in _MESSAGES if told(seen)), Kind.UNKNOWN)
    if kind is Kind.UNKNOWN:
        return _UNKNOWN
    content = Content(kind=kind, damage=_damage(seen, kind, len(head), size_bytes))
    is_graph = kind is Kind.GRAPH_DEF
    return replace(content, nodes=first_nodes(seen), has_variables=has_variables(head)) if is_graph else content


def _damage(seen: Walk, kind: Kind, head_bytes: int, size_bytes: int) -> str:
    if not seen.is_valid:
        return f"it is broken at byte {seen.end}: no protocol buffer goes on like this"
    if seen.end > size_bytes:
        start = seen.fields[-1].start
        return f"it is truncated: what starts at byte {start} ends at byte {seen.end}, the file at {size_bytes}"
    if seen.end < size_bytes <= head_bytes:
        return f"it is truncated at byte {size_bytes}"
    if kind is Kind.GRAPH_DEF and size_bytes <= head_bytes and all(field.number != 1 for field in seen.fields):
        return "it holds no nodes"
    return ""


_MESSAGES: Final[tuple[tuple[Callable[[Walk], bool], Kind], ...]] = (
    (is_saved_model, Kind.SAVED_MODEL),
    (is_meta_graph, Kind.META_GRAPH),
    (is_graph_def, Kind.GRAPH_DEF),
    (is_onnx, Kind.ONNX),
)

_TABLE_MAGIC: Final = 0xDB4775248B80FB57.to_bytes(8, "little")  # the last bytes of an SSTable

_MOST_SHARDS: Final = 99_999  # the data files' names have five digits


def _by_table(head: bytes, size_bytes: int) -> Content:
    """Tell a checkpoint's table by its first entry: the key is empty, the value says which version it is.

    V2 (``.index``) starts with BundleHeaderProto{1: number of data files}, V1 with
    SavedTensorSlices{1: SavedTensorSliceMeta}.
    """
    is_cut = size_bytes <= len(head) and not head.endswith(_TABLE_MAGIC)
    block = head if head.startswith(b"\0\0") or is_cut else _first_literal(head)
    if not block.startswith(b"\0\0"):  # no key shared with the entry before, no key of its own
        return _UNKNOWN
    entries = walk(b"\x0a" + block[2:]).fields[:1]  # a value has its length before it, as a message in a message
    header = walk(entries[0].body) if entries else walk(b"")
    damage = "it is truncated: the end of the table is missing" if is_cut else ""
    match header.fields:
        case (Field(number=1, is_bytes=False, value=count), *_) if header.is_valid and count <= _MOST_SHARDS:
            digest = hashlib.sha256(head).hexdigest()
            return Content(kind=Kind.CHECKPOINT_INDEX, damage=damage, shard_count=count, digest=digest)
        case (Field(number=1, is_bytes=True) as meta,) if meta.is_cut == entries[0].is_cut:
            return Content(kind=Kind.CHECKPOINT_V1, damage=damage)
    return _UNKNOWN


def _first_literal(head: bytes) -> bytes:
    """Return the bytes with which a Snappy block starts; some exporters compressed their tables."""
    start = next((at + 1 for at, byte in enumerate(head[:5]) if byte < 0x80), len(head))  # behind the block's size
    tag = head[start] if start < len(head) else 0
    return head[start + 1 : start + 2 + (tag >> 2)] if tag & 3 == 0 and tag >> 2 < 60 else b""


_MAGIC: Final[tuple[tuple[int, bytes, Kind], ...]] = (
    (0, b"version https://git-lfs.github.com/spec/", Kind.GIT_LFS_POINTER),
    (4, b"TFL3", Kind.TFLITE),
    (0, b"BZh", Kind.BZIP2),
    (0, b"\xfd7zXZ\0", Kind.XZ),
    # the number that torch.save writes first, behind two bytes of pickle's own
    (2, b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", Kind.PYTORCH),
)
_KERAS_MARKS: Final = (b"layer_names", b"keras_version", b"model_config", b"model_weights")
"""Attributes and groups of an HDF5 file's root, whose names lie near the file's start."""


def _by_magic(head: bytes, _size_bytes: int) -> Content:
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return Content(kind=Kind.KERAS_H5 if any(mark in head for mark in _KERAS_MARKS) else Kind.HDF5)
    if head.startswith(b"PK\x03\x04"):
        return Content(kind=_zip_kind(head))
    if head.startswith(b"\x1f\x8b"):
        return Content(kind=Kind.TAR if _is_tar(_inflated(head)) else Kind.GZIP)
    if _is_tar(head):
        return Content(kind=Kind.TAR)
    found = (kind for offset, magic, kind in _MAGIC if head.startswith(magic, offset))
    return Content(kind=next(found, Kind.UNKNOWN))


def _zip_kind(head: bytes) -> Kind:
    if b"/data.pkl" in head or b"/constants.pkl" in head:
        return Kind.PYTORCH
    return Kind.KERAS_ZIP if b"metadata.json" in head and b"config.json" in head else Kind.ZIP


def _is_tar(head: bytes) -> bool:
    """Tell a tar archive by its first header, which carries a checksum of itself."""
    with suppress(tarfile.HeaderError):
        tarfile.TarInfo.frombuf(head[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
        return True
    return False


def _inflated(head: bytes) -> bytes:
    """Return the first block of what gzip compressed; empty where it cannot be had."""
    with suppress(zlib.error):
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(head, tarfile.BLOCKSIZE)
    return b""


_BLANK: Final = re.compile(rb"(?:\xef\xbb\xbf)?(?:\s|#[^\n]*(?:\n|$))*")  # byte order mark, spaces, comments
_TEXTS: Final[tuple[tuple[re.Pattern[bytes], Kind], ...]] = (
    (re.compile(rb"<!doctype html|<html|<head", re.IGNORECASE), Kind.HTML),
    (re.compile(rb"<\?xml|<Error>"), Kind.XML),
    (re.compile(rb'\{\s*["}]|\[\s*["\d{\[\]-]'), Kind.JSON),
    (re.compile(rb"saved_model_schema_version\s*:|meta_graphs\s*:?\s*[{<]"), Kind.SAVED_MODEL_TEXT),
    (re.compile(rb"(meta_info_def|graph_def)\s*:?\s*[{<]"), Kind.META_GRAPH_TEXT),
    (re.compile(rb"(node|library|versions)\s*:?\s*[{<]"), Kind.GRAPH_DEF_TEXT),
    (re.compile(rb"item\s*:?\s*[{<]"), Kind.LABEL_MAP),
)


def _by_text(head: bytes, _size_bytes: int) -> Content:
    blank = _BLANK.match(head)
    start = blank.end() if blank else 0
    kind = next((kind for pattern, kind in _TEXTS if pattern.match(head, start)), Kind.TEXT)
    loose = kind in (Kind.TEXT, Kind.JSON)  # the others say more about themselves than two characters
    if loose and not _is_text(head):
        return _UNKNOWN
    is_graph = kind is Kind.GRAPH_DEF_TEXT
    nodes, variables = (first_nodes_of_text(head), has_variables(head)) if is_graph else ((), False)
    return Content(kind=kind, nodes=nodes, has_variables=variables)


def _is_text(head: bytes) -> bool:
    text = head.decode("utf-8", "ignore")  # a character may be cut at the head's end, which is no fault
    return len(text.encode()) > len(head) - 4 and all(char.isprintable() or char.isspace() for char in text)
