"""Ops that read, write, delete, call out or end the process: each in a graph whose answer needs it."""

from collections.abc import Callable
from typing import Final

from tests.hostile_corpus.case import Case, Outside, written
from tests.hostile_corpus.text import FLOAT, after, calling, constant, function, library, node, shape, text, whole

Graph = Callable[[Outside], str]

_TYPES: Final = {"output_types": "list { type: DT_INT64 }", "output_shapes": "list { shape { } }"}
_STRINGS: Final = {"output_types": "list { type: DT_STRING }", "output_shapes": "list { shape { } }"}
_NUMBERS: Final = (
    whole("zero", 0)
    + whole("one", 1)
    + whole("three", 3)
    + node("range", "RangeDataset", "zero", "three", "one", **_TYPES)
)
_EMPTY: Final = text("empty", "")


def _string(value: str) -> str:
    return f's: "{value}"'


def _run(dataset: str, types: dict[str, str]) -> str:
    """Return what takes the one element of a dataset."""
    return node("element", "DatasetToSingleElement", dataset, **types) + after("element")


def _file_dataset(op: str, path: str) -> str:
    fed = ["path", "empty", "zero"]
    numbers = whole("zero", 0)
    if op == "FixedLengthRecordDataset":
        fed, numbers = ["path", "zero", "one", "zero", "zero"], numbers + whole("one", 1)
    if op == "LMDBDataset":
        fed = ["path"]
    types = (
        {
            **_STRINGS,
            "output_types": "list { type: DT_STRING type: DT_STRING }",
            "output_shapes": "list { shape { } shape { } }",
        }
        if op == "LMDBDataset"
        else {}
    )
    return text("path", path) + _EMPTY + numbers + node("lines", op, *fed, **types) + _run("lines", types or _STRINGS)


def _vocabulary(path: str) -> str:
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


def _debug(op: str, url: str) -> str:
    """Return a node that sends its input somewhere."""
    return (
        constant("one", "DT_FLOAT", "float_val: 1")
        + node("send", op, "one", T=FLOAT, debug_urls=f"list {{ {_string(url)} }}")
        + after("send")
    )


def _restored(prefix: str) -> str:
    fed = text("prefix", prefix) + text("names", "w", dims=[1]) + text("slices", "", dims=[1])
    return (
        fed + node("read", "RestoreV2", "prefix", "names", "slices", dtypes="list { type: DT_FLOAT }") + after("read")
    )


def _saved(op: str, path: str) -> str:
    one = constant("one", "DT_FLOAT", "float_val: 1")
    names = text("path", path) + text("names", "w", dims=[1]) + text("slices", "", dims=[1])
    if op == "SaveV2":
        return (
            one
            + names
            + node("save", op, "path", "names", "slices", "one", dtypes="list { type: DT_FLOAT }")
            + after("save")
        )
    fed = ["path", "names", "one"] if op == "Save" else ["path", "names", "slices", "one"]
    return one + names + node("save", op, *fed, T="list { type: DT_FLOAT }") + after("save")


def _merged(outside: Outside) -> str:
    fed = text("from", outside.path("doomed/part"), dims=[1]) + text("to", outside.path("merged"))
    return (
        fed
        + node("merge", "MergeV2Checkpoints", "from", "to", delete_old_dirs="b: true", allow_missing_files="b: true")
        + after("merge")
    )


def _summary(op: str, path: str) -> str:
    fed = _EMPTY + text("path", path) + constant("ten", "DT_INT32", "int_val: 10") + node("writer", "SummaryWriter")
    names = (
        ["writer", "path", "ten", "ten", "empty"]
        if op == "CreateSummaryFileWriter"
        else ["writer", "path", "empty", "empty", "empty"]
    )
    return fed + node("open", op, *names) + after("open")


def _kept(op: str, path: str) -> str:
    fed = _NUMBERS + text("path", path)
    return (
        fed
        + node("kept", op, "range", "path", **_TYPES)
        + node("first", "TakeDataset", "kept", "one", **_TYPES)
        + _run("first", _TYPES)
    )


def _remote(address: str) -> str:
    """Return a dataset of a service elsewhere."""
    counter = node("counter", "DummyIterationCounter")
    fed = (
        _EMPTY
        + whole("zero", 0)
        + text("mode", "parallel_epochs")
        + text("address", address)
        + text("protocol", "grpc")
    )
    names = ["zero", "mode", "address", "protocol", "empty", "zero", "counter"]
    return fed + counter + node("remote", "DataServiceDataset", *names, **_TYPES) + _run("remote", _TYPES)


def _nested(path: str) -> str:
    """Return a dataset whose graph, with an op that reads a file, is a string."""
    inner = text("path", path) + node("read", "ReadFile", "path")
    return text("graph", inner) + node("made", "DatasetFromGraph", "graph") + _run("made", _STRINGS)


def _python(op: str) -> str:
    types = {"Tin": "list { type: DT_FLOAT }", "Tout": "list { type: DT_FLOAT }", "token": 's: "pyfunc_0"'}
    return constant("one", "DT_FLOAT", "float_val: 1") + node("python", op, "one", **types) + after("python")


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
        + node("decode", "DecodeProtoV2", "bytes", descriptor_source=_string(path), **said)
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


_CALIBRATION: Final = {
    "Tin": f"list {{ {' '.join(['type: DT_FLOAT'] * 2 + ['type: DT_INT64'])} }}",
    "ids": 'list { s: "a" }',
    "calibration_methods": "list { i: 1 }",
}
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
            memory_region_name=_string(out.path("secret")),
        )
        + after("read")
    ),
    "FixedUnigramCandidateSampler": lambda out: (
        whole("ids", 0, dims=[1, 1])
        + node("sample", "FixedUnigramCandidateSampler", "ids", vocab_file=_string(out.path("secret")), **_UNIGRAM)
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
    "RecordInput": lambda out: node("read", "RecordInput", file_pattern=_string(out.path("*"))) + after("read"),
    "Skipgram": lambda out: node("read", "Skipgram", filename=_string(out.path("secret")), **_SKIPGRAM) + after("read"),
    "DecodeProtoV2": lambda out: _decoded(out.path("secret")),
    "WholeFileReader": lambda out: _reader(out.path("secret")),
    "DatasetFromGraph": lambda out: _nested(out.path("secret")),
}

WRITING: Final[dict[str, Graph]] = {
    "WriteFile": lambda out: (
        text("path", out.path("made/by_write_file"))
        + text("what", "x")
        + node("write", "WriteFile", "path", "what")
        + after("write")
    ),
    "WriteFile_over": lambda out: (
        text("path", out.path("secret"))
        + text("what", "x")
        + node("write", "WriteFile", "path", "what")
        + after("write")
    ),
    "PrintV2": lambda out: (
        text("what", "x")
        + node("print", "PrintV2", "what", output_stream=_string(f"file://{out.path('by_print')}"))
        + after("print")
    ),
    "Save": lambda out: _saved("Save", out.path("by_save")),
    "SaveSlices": lambda out: _saved("SaveSlices", out.path("by_save_slices")),
    "SaveV2": lambda out: _saved("SaveV2", out.path("by_save_v2")),
    "CacheDataset": lambda out: _kept("CacheDataset", out.path("by_cache")),
    "SnapshotDataset": lambda out: _kept("SnapshotDataset", out.path("by_snapshot")),
    "DatasetToTFRecord": lambda out: (
        _EMPTY
        + text("records", "a", dims=[1])
        + text("path", out.path("by_records"))
        + node(
            "set",
            "TensorSliceDataset",
            "records",
            Toutput_types="list { type: DT_STRING }",
            output_shapes="list { shape { } }",
        )
        + node("write", "DatasetToTFRecord", "set", "path", "empty")
        + after("write")
    ),
    "SqlDataset": lambda out: (
        text("driver", "sqlite")
        + text("path", out.path("by_sql"))
        + text("query", "CREATE TABLE a (b)")
        + node("rows", "SqlDataset", "driver", "path", "query", **_STRINGS)
        + _run("rows", _STRINGS)
    ),
    "CreateSummaryFileWriter": lambda out: _summary("CreateSummaryFileWriter", out.path("by_summary")),
    "CreateSummaryDbWriter": lambda out: _summary("CreateSummaryDbWriter", out.path("by_summary_db")),
    "DebugIdentityV3_file": lambda out: _debug("DebugIdentityV3", f"file://{out.path('by_debug')}"),
    "DebugNumericSummary": lambda out: _debug("DebugNumericSummary", f"file://{out.path('by_debug_summary')}"),
    "DebugIdentityV2": lambda out: (
        constant("one", "DT_FLOAT", "float_val: 1")
        + node(
            "send",
            "DebugIdentityV2",
            "one",
            T=FLOAT,
            tfdbg_run_id='s: "run"',
            tensor_debug_mode="i: 2",
            debug_urls=f"list {{ {_string('file://' + out.path('by_debug_v2'))} }}",
        )
        + after("send")
    ),
    "CalibrationStatisticsSaver": lambda out: (
        constant("one", "DT_FLOAT", "float_val: 1")
        + whole("bins", 1, dims=[1])
        + node(
            "save",
            "CalibrationStatisticsSaver",
            "one",
            "one",
            "bins",
            output_file_path=_string(out.path("by_calibration")),
            **_CALIBRATION,
        )
        + after("save")
    ),
    "DumpTensor": lambda out: (
        constant("one", "DT_FLOAT", "float_val: 1")
        + node(
            "dump",
            "DumpTensor",
            "one",
            log_dir_path=_string(out.path("by_dump")),
            file_name='s: "a"',
            T=FLOAT,
            enabled="b: true",
            func_name='s: "f"',
            node_name='s: "n"',
        )
        + after("dump")
    ),
    "MergeV2Checkpoints": _merged,
}

CALLING: Final[dict[str, Graph]] = {
    "DebugIdentityV3_grpc": lambda out: _debug("DebugIdentityV3", f"grpc://127.0.0.1:{out.port}"),
    "DataServiceDataset": lambda out: _remote(f"127.0.0.1:{out.port}"),
    "RpcClient": lambda out: (
        text("address", f"127.0.0.1:{out.port}")
        + whole("wait", 1000)
        + node("call", "RpcClient", "address", "wait")
        + after("call")
    ),
    "ReadFile_gs": lambda _: text("path", "gs://tf1lift-canary/secret") + node("y", "ReadFile", "path"),
}

ENDING: Final[dict[str, Graph]] = {
    "Abort": lambda _: node("end", "Abort") + after("end"),
    "Abort_exit_0": lambda _: node("end", "Abort", exit_without_error="b: true") + after("end"),
    "PyFunc": lambda _: _python("PyFunc"),
    "EagerPyFunc": lambda _: _python("EagerPyFunc"),
}

_GROUPS: Final = {
    "reads a file outside": READING,
    "writes or deletes outside": WRITING,
    "calls out": CALLING,
    "ends the process, or runs Python": ENDING,
}

CASES: Final = tuple(
    Case(name=f"op_{name}", tries=tries, codes=frozenset({42}), write=written("graph.pbtxt", graph))
    for tries, group in _GROUPS.items()
    for name, graph in group.items()
) + (
    Case(
        name="op_vocabulary_outside",
        tries="reads a file outside",
        codes=frozenset({40, 42}),
        write=written("graph.pbtxt", lambda out: _vocabulary(out.path("secret"))),
    ),
)
