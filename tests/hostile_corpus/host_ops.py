"""Ops that read, write, delete, call out or end the process: each in a graph whose answer needs it."""

from typing import Final

from tests.hostile_corpus.case import Case, Outside, written
from tests.hostile_corpus.pieces import EMPTY, STRINGS, TYPES, Graph, bytes_of, run_of
from tests.hostile_corpus.reading_ops import READING, vocabulary
from tests.hostile_corpus.text import FLOAT, after, constant, node, text, whole

_NUMBERS: Final = (
    whole("zero", 0)
    + whole("one", 1)
    + whole("three", 3)
    + node("range", "RangeDataset", "zero", "three", "one", **TYPES)
)


def _debug(op: str, url: str) -> str:
    """Return a node that sends its input somewhere."""
    return (
        constant("one", "DT_FLOAT", "float_val: 1")
        + node("send", op, "one", T=FLOAT, debug_urls=f"list {{ {bytes_of(url)} }}")
        + after("send")
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
    fed = EMPTY + text("path", path) + constant("ten", "DT_INT32", "int_val: 10") + node("writer", "SummaryWriter")
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
        + node("kept", op, "range", "path", **TYPES)
        + node("first", "TakeDataset", "kept", "one", **TYPES)
        + run_of("first", TYPES)
    )


def _remote(address: str) -> str:
    """Return a dataset of a service elsewhere."""
    counter = node("counter", "DummyIterationCounter")
    fed = (
        EMPTY + whole("zero", 0) + text("mode", "parallel_epochs") + text("address", address) + text("protocol", "grpc")
    )
    names = ["zero", "mode", "address", "protocol", "empty", "zero", "counter"]
    return fed + counter + node("remote", "DataServiceDataset", *names, **TYPES) + run_of("remote", TYPES)


def _python(op: str) -> str:
    types = {"Tin": "list { type: DT_FLOAT }", "Tout": "list { type: DT_FLOAT }", "token": 's: "pyfunc_0"'}
    return constant("one", "DT_FLOAT", "float_val: 1") + node("python", op, "one", **types) + after("python")


_CALIBRATION: Final = {
    "Tin": f"list {{ {' '.join(['type: DT_FLOAT'] * 2 + ['type: DT_INT64'])} }}",
    "ids": 'list { s: "a" }',
    "calibration_methods": "list { i: 1 }",
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
        + node("print", "PrintV2", "what", output_stream=bytes_of(f"file://{out.path('by_print')}"))
        + after("print")
    ),
    "Save": lambda out: _saved("Save", out.path("by_save")),
    "SaveSlices": lambda out: _saved("SaveSlices", out.path("by_save_slices")),
    "SaveV2": lambda out: _saved("SaveV2", out.path("by_save_v2")),
    "CacheDataset": lambda out: _kept("CacheDataset", out.path("by_cache")),
    "SnapshotDataset": lambda out: _kept("SnapshotDataset", out.path("by_snapshot")),
    "DatasetToTFRecord": lambda out: (
        EMPTY
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
        + node("rows", "SqlDataset", "driver", "path", "query", **STRINGS)
        + run_of("rows", STRINGS)
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
            debug_urls=f"list {{ {bytes_of('file://' + out.path('by_debug_v2'))} }}",
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
            output_file_path=bytes_of(out.path("by_calibration")),
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
            log_dir_path=bytes_of(out.path("by_dump")),
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


CASES: Final = (
    *(
        Case(name=f"op_{name}", tries=tries, codes=frozenset({42}), write=written("graph.pbtxt", graph))
        for tries, group in _GROUPS.items()
        for name, graph in group.items()
    ),
    Case(
        name="op_vocabulary_outside",
        tries="reads a file outside",
        codes=frozenset({40, 42}),
        write=written("graph.pbtxt", lambda out: vocabulary(out.path("secret"))),
    ),
)
