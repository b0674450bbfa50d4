"""Which ops may run: not those that touch the host, and none that this TensorFlow does not have."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from tensorflow.python.framework import op_def_registry

from job.engine.graph import Graph, NodeDef, attribute
from job.errors import BadInput, Refused

PYTHON_OPS: Final = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc"})
"""Their Python body is not in the file."""

HARMLESS_STATE: Final = re.compile(
    r"""VarHandleOp|VarIsInitializedOp|Variable(V2|Shape)?|TemporaryVariable|ReadVariableOp
    |Assign(Add|Sub)?VariableOp|Resource(Scatter|Apply|SparseApply)\w+
    |Resource(Gather|GatherNd|CountUpTo|StridedSliceAssign)|DisableCopyOnRead|DestroyResourceOp
    |HashTable(V2)?|Mutable(Dense)?HashTable(OfTensors)?(V2)?|InitializeTable(FromTextFile)?V2
    |LookupTable(Export|Find|Import|Insert|Remove|Size)V2|TensorArray\w*|Stack((Push|Pop|Close)?V2)?
    |Random(Crop|Gamma|PoissonV2|Poisson|Shuffle|StandardNormal|Uniform|UniformInt)|Multinomial
    |(Parameterized)?TruncatedNormal|Stateful(Random|Standard|Truncated|Uniform)\w*|Rng(ReadAnd)?Skip
    |NonDeterministicInts|StatelessRandomGetAlg|SampleDistortedBoundingBox(V2)?
    |(All|LearnedUnigram|LogUniform|ThreadUnsafeUnigram|Uniform)CandidateSampler
    |If|While|Case|StatefulPartitionedCall|DeviceIndex|Assert|CheckNumerics(V2)?|Print(V2)?
    |GuaranteeConst|Empty|Timestamp|(Add|Take)ManySparse\w+|AddSparseToTensorsMap|CudnnRNN\w*
    |(Is)?BoostedTrees\w+|(Tensor|TensorSlice|SparseTensorSlice|Range|Random|Reduce)Dataset(V2)?
    |Shuffle(AndRepeat)?DatasetV\d|DatasetToSingleElement|OneShotIterator|MakeIterator
    |Iterator(V2|GetNext|GetNextSync|GetNextAsOptional|ToStringHandle|FromStringHandle|FromStringHandleV2)?""",
    re.VERBOSE,
)
"""Stateful ops whose state is the process's own memory, which a model may use; every other stateful op is refused."""

HOST_OPS: Final = re.compile(
    r"ReadFile|MatchingFiles|ImmutableConst|Abort|GenerateVocabRemapping|EncodeProto|DecodeProtoV2|DatasetFromGraph"
    r"|CacheDataset|\w*Snapshot\w+|\w*SleepDataset|RegisterDataset\w*|Debug\w+|CopyHost|Reader\w+|Barrier\w+"
    r"|TPU\w+|Tpu\w+|XlaCustomCall\w*|Collective\w+"
)
"""Ops that are not registered as stateful, and touch the host all the same (executed on 2.21)."""

FILE_OPS: Final = ("InitializeTableFromTextFile", "InitializeTableFromTextFileV2")
"""They may read the vocabularies of the model, and no other file."""

STREAMS: Final = (b"stderr", b"stdout", b"log(info)", b"log(warning)", b"log(error)")
"""Where ``PrintV2`` may write: it knows files too."""

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


def check_ops(graph: Graph, needed: Iterable[str], *, vocabularies: Iterable[str] = ()) -> None:
    """Refuse a graph whose needed part this job must not or cannot run.

    Looks into every function of the library that is reachable. `vocabularies` are the nodes that
    read a file of the model's own. Raises `Refused` (42) for host-touching ops and Python bodies,
    `BadInput` (40) for ops that are not registered.
    """
    needed, reading = list(needed), [graph.nodes[name] for name in vocabularies]
    for node in _reachable(graph, needed):
        if node.op in PYTHON_OPS:
            raise Refused(
                f"op {node.op} (node {node.name}) calls Python code that is not in the file",
                remedy="export the model without py_func, or cut above it with `inputs` in the manifest",
            )
        if touches_host(node) and not any(node is one for one in reading):
            raise Refused(
                f"op {node.op} (node {node.name}) touches files, network or the process on the way to an output",
                remedy="cut above it with `inputs` in the manifest",
            )
    _check_registered(graph, needed)


def touches_host(node: NodeDef) -> bool:
    """Whether a node may do more than compute in the memory of its process."""
    if node.op == "PrintV2":
        return attribute(node, "output_stream").s not in STREAMS
    if node.op in FILE_OPS or HOST_OPS.fullmatch(node.op):
        return True
    registered = op_def_registry.get(node.op)
    return registered is not None and registered.is_stateful and not HARMLESS_STATE.fullmatch(node.op)


def _check_registered(graph: Graph, needed: list[str]) -> None:
    functions = {function.signature.name for function in graph.graph_def.library.function}
    unknown: dict[str, list[str]] = {}
    for node in _reachable(graph, needed):
        if op_def_registry.get(node.op) is None and node.op not in functions:
            unknown.setdefault(node.op, []).append(node.name)
    if unknown:
        listed = "; ".join(f"{op} (node {names[0]}{_more(names)}{_hint(op)})" for op, names in sorted(unknown.items()))
        raise BadInput(
            f"ops that this TensorFlow does not have: {listed}",
            remedy="cut above them with `inputs` or `outputs` in the manifest, or export the model without them",
        )


def _reachable(graph: Graph, needed: list[str]) -> Iterator[NodeDef]:
    """Yield the needed nodes and of every function that they call."""
    library = {function.signature.name: function for function in graph.graph_def.library.function}
    seen = set[str]()
    queue = [graph.nodes[name] for name in needed]
    while queue:
        node = queue.pop()
        yield node
        called = {node.op} | {attr.func.name for attr in node.attr.values() if attr.HasField("func")}
        called |= {func.name for attr in node.attr.values() for func in attr.list.func}
        for name in (called & library.keys()) - seen:
            seen.add(name)
            queue += library[name].node_def


def _more(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""


def _hint(op: str) -> str:
    return next((f", from {package}" for prefix, package in CONTRIB_HINTS.items() if op.startswith(prefix)), "")
