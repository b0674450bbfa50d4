from collections.abc import Iterator

import pytest
import tensorflow as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2
from tensorflow.python.framework import op_def_registry

from job.engine.graph import Graph
from job.engine.ops.allowing import allow_ops
from job.engine.ops.classes import CLASS_OF
from job.engine.ops.policy import check_ops, why_denied
from job.errors import BadInput, Refused
from tests.engine.models import graph_of, v1

TOUCHING = """
ReadFile MatchingFiles ImmutableConst Abort CSVDataset CSVDatasetV2 ExperimentalCSVDataset LoadDataset LMDBDataset
ExperimentalLMDBDataset MatchingFilesDataset ExperimentalMatchingFilesDataset SqlDataset ExperimentalSqlDataset
CacheDataset CacheDatasetV2 SnapshotDataset SnapshotDatasetV2 SnapshotDatasetReader ListSnapshotChunksDataset
DataServiceDatasetV4 Restore RestoreSlice RestoreV2 DTensorRestoreV2 WriteFile PyFuncStateless DebugIdentity
InitializeTableFromTextFile GenerateVocabRemapping QueueDequeueV2 Stage LoadAndRemapMatrix Skipgram RecordInput
CalibrationStatisticsSaver DumpTensor DebugIdentityV2 DebugIdentityV3 DebugNumericSummary Copy CopyHost SaveV2
MergeV2Checkpoints SaveDataset DatasetToTFRecord CreateSummaryFileWriter CreateSummaryDbWriter RpcClient RpcServer
DatasetFromGraph DeserializeIterator MlirPassthroughOp XlaCallModule XlaLaunch RemoteCall Send Recv TPUPartitionedCall
CollectiveReduce FileSystemSetConfiguration SleepDataset ThreadPoolHandle
"""
"""Ops that do more than compute; lists of names have missed some of them before."""


def refused(op: str) -> bool:
    """Whether a graph of this op alone is refused."""
    try:
        check_ops(Graph(graph_pb2.GraphDef(node=[node_def_pb2.NodeDef(name="one", op=op)])), ["one"])
    except Refused:
        return True
    except BadInput:  # it may run, and cannot: no kernel is there, or a lone node has no attributes
        return False
    return False


@pytest.mark.parametrize("op", TOUCHING.split())
def test_ops_that_touch_the_host_are_refused(op: str) -> None:
    """Ops that read, write, connect, block or end the process are refused, also those registered as stateless."""
    assert op_def_registry.get(op) is not None
    assert refused(op)


def lone(op: str, **strings: str) -> Graph:
    """Return a graph of one node with attributes that are strings."""
    graph_def = graph_pb2.GraphDef(node=[node_def_pb2.NodeDef(name="one", op=op)])
    for name, value in strings.items():
        graph_def.node[0].attr[name].s = value.encode()
    return Graph(graph_def)


@pytest.mark.parametrize(
    ("op", "attribute", "harmless", "reading"),
    [
        ("FixedUnigramCandidateSampler", "vocab_file", [""], ["/etc/passwd"]),
        (
            "DecodeProtoV2",
            "descriptor_source",
            ["", "local://", "bytes://\n\x00"],
            ["/etc/passwd", "file:///etc/passwd"],
        ),
        ("EncodeProto", "descriptor_source", ["", "local://", "bytes://\n\x00"], ["/etc/passwd", "x/local://"]),
    ],
)
def test_ops_that_may_read_a_file_are_judged_by_what_they_are_told(
    op: str, attribute: str, harmless: list[str], reading: list[str]
) -> None:
    """Some ops open a file only if an attribute says so: without it they may run."""
    assert [why_denied(lone(op, **{attribute: value}).nodes["one"]) for value in harmless] == [""] * len(harmless)
    for value in reading:
        with pytest.raises(Refused, match=f"{op} .node one. reads a file"):
            check_ops(lone(op, **{attribute: value}), ["one"])


@pytest.mark.parametrize(
    ("op", "name"),
    [
        ("FixedUnigramCandidateSampler", "vocab_file"),
        ("DecodeProtoV2", "descriptor_source"),
        ("EncodeProto", "descriptor_source"),
        ("PrintV2", "output_stream"),
    ],
)
def test_what_a_caller_fills_in_is_not_trusted(op: str, name: str) -> None:
    """A node of a function may leave an attribute to its callers, who may name a file."""
    node = node_def_pb2.NodeDef(name="one", op=op)
    node.attr[name].placeholder = "given"
    assert "file" in why_denied(node)


def test_new_op_of_tensorflow_is_denied(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is registered and in no class may not run until somebody has judged it."""
    others = {op: one for op, one in CLASS_OF.items() if op != "Relu"}
    monkeypatch.setattr("job.engine.ops.policy.CLASS_OF", others)
    with pytest.raises(Refused, match=r"Relu \(node one\) is new in TensorFlow, and nobody has judged it yet"):
        check_ops(lone("Relu"), ["one"])


def printing(stream: str) -> Graph:
    """Return a graph of one op that prints."""
    return Graph(graph_of(lambda: tf.raw_ops.PrintV2(input="said", output_stream=stream)))


@pytest.mark.parametrize("stream", ["stderr", "stdout", "log(info)"])
def test_printing_is_let_through(stream: str) -> None:
    """`PrintV2` may talk to whoever watches."""
    check_ops(printing(stream), ["PrintV2"])


def test_printing_into_a_file_is_refused() -> None:
    """`PrintV2` writes a file if it is told to, and may not."""
    with pytest.raises(Refused, match="PrintV2"):
        check_ops(printing("file:///tmp/x"), ["PrintV2"])


def test_table_that_a_call_fills_from_a_file_is_refused() -> None:
    """Only the initialiser of a table reads its vocabulary: a node on the way to an output could read any file."""
    graph = Graph(graph_pb2.GraphDef(node=[node_def_pb2.NodeDef(name="one", op="InitializeTableFromTextFileV2")]))
    check_ops(graph, ["one"], vocabularies=["one"])
    with pytest.raises(Refused, match="InitializeTableFromTextFileV2"):
        check_ops(graph, ["one"])


def reading() -> None:
    name = v1.placeholder(tf.string, [], name="name")
    tf.identity(tf.io.read_file(name, name="read"), name="y")


def test_host_op_on_the_way_is_refused() -> None:
    """An op that reads a file is refused with its name, its node, the way from the output to it, and what to do."""
    graph = Graph(graph_of(reading))
    with pytest.raises(Refused) as caught:
        check_ops(graph, graph.ancestors(["y"]))
    assert caught.value.what == "op ReadFile (node read) reads files, on the way to an output: y, read"
    assert "inputs" in caught.value.remedy
    assert "--allow-op ReadFile" in caught.value.remedy


@pytest.mark.usefixtures("_denied_again")
def test_allowed_op_runs_and_no_other() -> None:
    """``--allow-op`` lets one op through, and neither others nor Python bodies."""
    graph = Graph(graph_of(reading))
    allow_ops(["WriteFile"])
    with pytest.raises(Refused):
        check_ops(graph, graph.ancestors(["y"]))
    allow_ops(["ReadFile"])
    check_ops(graph, graph.ancestors(["y"]))


@pytest.fixture
def _denied_again() -> Iterator[None]:
    """Deny again what a test allows."""
    yield
    allow_ops([])


def test_host_op_elsewhere_is_no_matter() -> None:
    """What no output needs is not looked at."""
    check_ops(Graph(graph_of(reading)), ["name"])


def test_host_op_behind_functions_is_refused() -> None:
    """A function that a function calls is looked into."""

    def build() -> None:
        @tf.function  # type: ignore[untyped-decorator]
        def inner(name: tf.Tensor) -> tf.Tensor:
            return tf.io.read_file(name)

        @tf.function  # type: ignore[untyped-decorator]
        def outer(name: tf.Tensor) -> tf.Tensor:
            return inner(name)

        tf.identity(outer(v1.placeholder(tf.string, [], name="name")), name="y")

    graph = Graph(graph_of(build))
    with pytest.raises(Refused, match="ReadFile"):
        check_ops(graph, graph.ancestors(["y"]))


def library(graph_def: graph_pb2.GraphDef, *functions: tuple[str, str]) -> None:
    """Give a graph functions of one node each, (name, op)."""
    for name, op in functions:
        function = graph_def.library.function.add()
        function.signature.name = name
        function.node_def.add(name="inner", op=op)


def test_gradient_that_the_library_gives_a_function_is_looked_into() -> None:
    """`SymbolicGradient` of a harmless function runs what the file calls its gradient (tried: it wrote a file)."""
    graph_def = graph_pb2.GraphDef()
    graph_def.node.add(name="y", op="SymbolicGradient").attr["f"].func.name = "harmless"
    library(graph_def, ("harmless", "Neg"), ("its_gradient", "WriteFile"))
    graph_def.library.gradient.add(function_name="harmless", gradient_func="its_gradient")
    with pytest.raises(Refused, match="WriteFile"):
        check_ops(Graph(graph_def), ["y"])


def test_function_that_implements_the_same_is_looked_into() -> None:
    """Grappler may put another function of the same ``api_implements`` in the place of the one that is called."""
    graph_def = graph_pb2.GraphDef()
    graph_def.node.add(name="y", op="StatefulPartitionedCall").attr["f"].func.name = "harmless"
    library(graph_def, ("harmless", "Neg"), ("other", "WriteFile"))
    for function in graph_def.library.function:
        function.attr["api_implements"].s = b"the same"
    with pytest.raises(Refused, match="WriteFile"):
        check_ops(Graph(graph_def), ["y"])


def test_branches_in_a_list_are_looked_into() -> None:
    """``Case`` names its functions in a list."""
    graph_def = graph_pb2.GraphDef()
    graph_def.node.add(name="y", op="Case").attr["branches"].list.func.add(name="harmless")
    graph_def.node[0].attr["branches"].list.func.add(name="other")
    library(graph_def, ("harmless", "Neg"), ("other", "WriteFile"))
    with pytest.raises(Refused, match="WriteFile"):
        check_ops(Graph(graph_def), ["y"])


def test_function_that_is_an_op_by_its_name_is_looked_into() -> None:
    """TensorFlow looks an op up in the file's library before its own: ``Add`` may be a function that writes."""
    graph_def = graph_pb2.GraphDef()
    graph_def.node.add(name="y", op="Add")
    library(graph_def, ("Add", "WriteFile"))
    with pytest.raises(Refused, match="WriteFile"):
        check_ops(Graph(graph_def), ["y"])


@pytest.mark.parametrize("op", ["DatasetFromGraph", "MlirPassthroughOp", "XlaCallModule", "DeserializeIterator"])
def test_graph_in_a_constant_is_not_run(op: str) -> None:
    """Bytes that are a graph, a program or an iterator of one are not looked into, and do not run."""
    graph_def = graph_pb2.GraphDef()
    graph_def.node.add(name="bytes", op="Const")
    graph_def.node.add(name="y", op=op, input=["bytes"])
    with pytest.raises(Refused, match=f"{op} .node y."):
        check_ops(Graph(graph_def), ["bytes", "y"])


def test_function_given_to_a_function_is_looked_into() -> None:
    """A called function may take another one as an attribute of its own, and call that."""
    graph_def = graph_pb2.GraphDef()
    called = graph_def.node.add(name="y", op="StatefulPartitionedCall").attr["f"].func
    called.name = "harmless"
    called.attr["body"].func.name = "given"
    library(graph_def, ("harmless", "Neg"), ("given", "WriteFile"))
    with pytest.raises(Refused, match="WriteFile"):
        check_ops(Graph(graph_def), ["y"])


def test_python_body_is_refused_where_it_is_needed() -> None:
    """`py_func` is refused on the way to an output and passed over in a training part."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None], name="x")
        tf.identity(x, name="y")
        tf.identity(v1.py_func(lambda value: value, [x], tf.float32), name="augmented")

    graph = Graph(graph_of(build))
    check_ops(graph, graph.ancestors(["y"]))
    with pytest.raises(Refused, match="Python code that is not in the file"):
        check_ops(graph, graph.ancestors(["augmented"]))


def test_calls_of_library_functions_are_registered() -> None:
    """A node whose op is a function of the library is no unknown op."""
    graph_def = graph_pb2.GraphDef()
    graph_def.node.add(name="call", op="my_function")
    graph_def.library.function.add().signature.name = "my_function"
    check_ops(Graph(graph_def), ["call"])
