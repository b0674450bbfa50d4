"""Which ops may run: not those that touch the host, and none that this TensorFlow does not have."""

from collections.abc import Iterable
from typing import Final

from tensorflow.python.framework import op_def_registry

from job.engine.graph import Graph
from job.errors import BadInput, Refused

PYTHON_OPS: Final = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc"})
"""Their Python body is not in the file."""

HOST_OPS: Final = frozenset(
    {
        *("ReadFile", "MatchingFiles", "ImmutableConst", "RecordInput", "LoadAndRemapMatrix", "GenerateVocabRemapping"),
        *("WriteFile", "Save", "SaveV2", "SaveSlices", "MergeV2Checkpoints", "SaveDataset", "SaveDatasetV2"),
        *(
            "WholeFileReader",
            "WholeFileReaderV2",
            "TextLineReader",
            "TextLineReaderV2",
            "TFRecordReader",
            "TFRecordReaderV2",
        ),
        *("FixedLengthRecordReader", "FixedLengthRecordReaderV2", "IdentityReader", "IdentityReaderV2", "LMDBReader"),
        *(
            "TextLineDataset",
            "TFRecordDataset",
            "TFRecordDatasetV2",
            "FixedLengthRecordDataset",
            "FixedLengthRecordDatasetV2",
        ),
        *("SqlDataset", "CacheDataset", "CacheDatasetV2", "SnapshotDataset", "SnapshotDatasetV2", "DatasetToTFRecord"),
        *(
            "CreateSummaryFileWriter",
            "CreateSummaryDbWriter",
            "WriteSummary",
            "WriteScalarSummary",
            "WriteImageSummary",
        ),
        *("DebugIdentity", "DebugIdentityV2", "DebugIdentityV3", "DebugNumericSummary", "DumpTensor", "Abort"),
        *("DataServiceDataset", "DataServiceDatasetV2", "DataServiceDatasetV3", "DataServiceDatasetV4", "RpcClient"),
        *("FixedUnigramCandidateSampler", "Skipgram", "CalibrationStatisticsSaver", "DatasetFromGraph", "EncodeProto"),
        *(
            "DecodeProtoV2",
            "TPUCompile",
            "CollectiveReduce",
            "Send",
            "Recv",
            "_Send",
            "_Recv",
            "_HostSend",
            "_HostRecv",
        ),
    }
)
"""Ops that read, write, delete or connect, or end the process (executed on 2.21; faults §3.3)."""

CONTRIB_HINTS: Final = {
    "Resampler": "tf.contrib.resampler",
    "BlockLSTM": "tf.contrib.rnn",
    "ImageProjectiveTransform": "tf.contrib.image",
    "GRUBlockCell": "tf.contrib.rnn",
    "BeamSearch": "tf.contrib.seq2seq",
    "KMC2": "tf.contrib.factorization",
    "CTCBeamSearch": "tf.contrib",
    "CudnnRNN": "tf.contrib.cudnn_rnn",
}


def check_ops(graph: Graph, needed: Iterable[str]) -> None:
    """Refuse a graph whose needed part this job must not or cannot run.

    Looks into every function of the library that is reachable. Raises `Refused` (42) for
    host-touching ops and Python bodies, `BadInput` (40) for ops that are not registered.
    """
    needed = list(needed)
    for name, op in _reachable_ops(graph, needed):
        if op in PYTHON_OPS:
            raise Refused(
                f"op {op} (node {name}) calls Python code that is not in the file",
                remedy="export the model without py_func, or cut above it with `inputs` in the manifest",
            )
        if op in HOST_OPS:
            raise Refused(
                f"op {op} (node {name}) touches files, network or the process on the way to an output",
                remedy="cut above it with `inputs` in the manifest",
            )
    _check_registered(graph, needed)


def _check_registered(graph: Graph, needed: list[str]) -> None:
    functions = {function.signature.name for function in graph.graph_def.library.function}
    unknown: dict[str, list[str]] = {}
    for name, op in _reachable_ops(graph, needed):
        if op_def_registry.get(op) is None and op not in functions:
            unknown.setdefault(op, []).append(name)
    if unknown:
        listed = "; ".join(f"{op} (node {names[0]}{_more(names)}{_hint(op)})" for op, names in sorted(unknown.items()))
        raise BadInput(
            f"ops that this TensorFlow does not have: {listed}",
            remedy="cut above them with `inputs` or `outputs` in the manifest, or export the model without them",
        )


def _reachable_ops(graph: Graph, needed: list[str]) -> Iterable[tuple[str, str]]:
    """Yield (node, op) of the needed nodes and of every function that they call."""
    library = {function.signature.name: function for function in graph.graph_def.library.function}
    seen = set[str]()
    queue = [graph.nodes[name] for name in needed]
    while queue:
        node = queue.pop()
        yield node.name, node.op
        called = {node.op} | {attr.func.name for attr in node.attr.values() if attr.HasField("func")}
        called |= {func.name for attr in node.attr.values() for func in attr.list.func}
        for name in (called & library.keys()) - seen:
            seen.add(name)
            queue += library[name].node_def


def _more(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""


def _hint(op: str) -> str:
    return next((f", from {package}" for prefix, package in CONTRIB_HINTS.items() if op.startswith(prefix)), "")
