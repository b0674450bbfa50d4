"""Ops that read files: each in a graph whose answer needs it."""

from typing import Final

from tests.hostile_corpus.pieces import EMPTY, STRINGS, Graph, bytes_of, run_of
from tests.hostile_corpus.text import FLOAT, after, calling, constant, function, library, node, shape, text, whole


def _file_dataset(op: str, path: str) -> str:
    fed = ["path", "empty", "zero"]
    numbers = whole("zero", 0)
    if op == "FixedLengthRecordDataset":
        fed, numbers = ["path", "zero", "one", "zero", "zero"], numbers + whole("one", 1)
    if op == "LMDBDataset":
        fed = ["path"]
    types = (
        {
            **STRINGS,
            "output_types": "list { type: DT_STRING type: DT_STRING }",
            "output_shapes": "list { shape { } shape { } }",
        }
        if op == "LMDBDataset"
        else {}
    )
    return text("path", path) + EMPTY + numbers + node("lines", op, *fed, **types) + run_of("lines", types or STRINGS)


def vocabulary(path: str) -> str:
    return (
        node("table", "HashTableV2", key_dtype="type: DT_STRING", value_dtype="type: DT_INT64")
        + text("path", path)
        + node("fill", "InitializeTableFromTextFileV2", "table", "path", key_index="i: -2", value_index="i: -1")
        + text("key", "root", dims=[1])
        + whole("none", -1)
        + node(
            "find", "LookupTableFindV2", "table", "key", "none", "^fill", Tin="type: DT_STRING", Tout="type: DT_INT64"
        )
        + after("find")
    )


def _restored(prefix: str) -> str:
    fed = text("prefix", prefix) + text("names", "w", dims=[1]) + text("slices", "", dims=[1])
    return (
        fed + node("read", "RestoreV2", "prefix", "names", "slices", dtypes="list { type: DT_FLOAT }") + after("read")
    )


def _nested(path: str) -> str:
    """Return a dataset whose graph, with an op that reads a file, is a string."""
    inner = text("path", path) + node("read", "ReadFile", "path")
    return text("graph", inner) + node("made", "DatasetFromGraph", "graph") + run_of("made", STRINGS)


def _reader(path: str) -> str:
    queue = node("queue", "FIFOQueueV2", component_types="list { type: DT_STRING }")
    fill = text("path", path) + node("push", "QueueEnqueueV2", "queue", "path", Tcomponents="list { type: DT_STRING }")
    return (
        queue
        + fill
        + node("reader", "WholeFileReaderV2")
        + node("read", "ReaderReadV2", "reader", "queue", "^push")
        + after("read")
    )


def _remapped(path: str) -> str:
    fed = text("path", path) + text("name", "w") + whole("rows", 0, dims=[1]) + whole("columns", dims=[0])
    values = constant("values", "DT_FLOAT", "", [0])
    sizes = {"num_rows": "i: 1", "num_cols": "i: 1"}
    return (
        fed
        + values
        + node("matrix", "LoadAndRemapMatrix", "path", "name", "rows", "columns", "values", **sizes)
        + after("matrix")
    )


def _decoded(path: str) -> str:
    said = {"message_type": 's: "a.B"', "field_names": 'list { s: "c" }', "output_types": "list { type: DT_FLOAT }"}
    return (
        text("bytes", "", dims=[1])
        + node("decode", "DecodeProtoV2", "bytes", descriptor_source=bytes_of(path), **said)
        + after("decode")
    )


def _in_function(path: str) -> str:
    """Return a graph that reads a file in a function that another function calls."""
    read = text("path", path) + node("read", "ReadFile", "path:output:0")
    inner = function("inner", read + node("same", "Identity", "x", "^read", T=FLOAT), "same:output:0")
    outer = function(
        "outer",
        node(
            "call",
            "PartitionedCall",
            "x",
            Tin="list { type: DT_FLOAT }",
            Tout="list { type: DT_FLOAT }",
            f='func { name: "inner" }',
        ),
        "call:output:0",
    )
    return library(inner, outer) + calling("outer")


_SKIPGRAM: Final = {"batch_size": "i: 4"}

_UNIGRAM: Final = {"num_true": "i: 1", "num_sampled": "i: 2", "unique": "b: true", "range_max": "i: 4"}

_REMAPPING: Final = {"new_vocab_offset": "i: 0", "num_new_vocab": "i: 4"}

READING: Final[dict[str, Graph]] = {
    "ReadFile": lambda out: text("path", out.path("secret")) + node("read", "ReadFile", "path") + after("read"),
    "ReadFile_environ": lambda _: text("path", "/proc/self/environ") + node("y", "ReadFile", "path"),
    "ReadFile_in_functions": lambda out: _in_function(out.path("secret")),
    "MatchingFiles": lambda out: text("all", out.path("*")) + node("y", "MatchingFiles", "all"),
    "ImmutableConst": lambda out: (
        node(
            "read",
            "ImmutableConst",
            dtype=FLOAT,
            shape=f"shape {{ {shape(4)} }}",
            memory_region_name=bytes_of(out.path("secret")),
        )
        + after("read")
    ),
    "FixedUnigramCandidateSampler": lambda out: (
        whole("ids", 0, dims=[1, 1])
        + node("sample", "FixedUnigramCandidateSampler", "ids", vocab_file=bytes_of(out.path("secret")), **_UNIGRAM)
        + after("sample")
    ),
    "GenerateVocabRemapping": lambda out: (
        text("path", out.path("secret"))
        + node("remap", "GenerateVocabRemapping", "path", "path", **_REMAPPING)
        + after("remap")
    ),
    "TextLineDataset": lambda out: _file_dataset("TextLineDataset", out.path("secret")),
    "TFRecordDataset": lambda out: _file_dataset("TFRecordDataset", out.path("secret")),
    "FixedLengthRecordDataset": lambda out: _file_dataset("FixedLengthRecordDataset", out.path("secret")),
    "LMDBDataset": lambda out: _file_dataset("LMDBDataset", out.path("secret")),
    "LoadAndRemapMatrix": lambda out: _remapped(out.path("secret")),
    "RestoreV2": lambda out: _restored(out.path("secret")),
    "Restore": lambda out: (
        text("path", out.path("secret"))
        + text("name", "w")
        + node("read", "Restore", "path", "name", dt=FLOAT)
        + after("read")
    ),
    "RecordInput": lambda out: node("read", "RecordInput", file_pattern=bytes_of(out.path("*"))) + after("read"),
    "Skipgram": lambda out: (
        node("read", "Skipgram", filename=bytes_of(out.path("secret")), **_SKIPGRAM) + after("read")
    ),
    "DecodeProtoV2": lambda out: _decoded(out.path("secret")),
    "WholeFileReader": lambda out: _reader(out.path("secret")),
    "DatasetFromGraph": lambda out: _nested(out.path("secret")),
}
