"""Which ops may run: not those that touch the host, and none that this TensorFlow cannot run.

Ops of a user's own library (``--op-library``) are held to the same rule: the stateless ones may run,
of the stateful ones those that the user names with the library.
"""

import re
from collections.abc import Iterable
from typing import Final

from tensorflow.python.framework import op_def_registry

from job.engine.graph import Graph, NodeDef, attribute
from job.engine.ops.kernels import Device
from job.engine.ops.op_library import ADDED, NAMED
from job.engine.ops.runnable import check_runnable, reachable
from job.errors import Refused

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
    |GuaranteeConst|Empty|DeepCopy|Timestamp|(Add|Take)ManySparse\w+|AddSparseToTensorsMap|CudnnRNN\w*
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


def check_ops(graph: Graph, needed: Iterable[str], *, vocabularies: Iterable[str] = (), device: Device = "any") -> None:
    """Refuse a graph whose needed part this job must not or cannot run.

    Looks into every function of the library that is reachable. `vocabularies` are the nodes that
    read a file of the model's own. Raises `Refused` (42) for host-touching ops and Python bodies,
    `BadInput` (40) that lists every op which this TensorFlow cannot run.
    """
    needed, reading = list(needed), [graph.nodes[name] for name in vocabularies]
    for _, node in reachable(graph, needed):
        if node.op in PYTHON_OPS:
            raise Refused(
                f"op {node.op} (node {node.name}) calls Python code that is not in the file",
                remedy="export the model without py_func, or cut above it with `inputs` in the manifest",
            )
        if touches_host(node) and not any(node is one for one in reading):
            raise _refusal(node)
    check_runnable(graph, needed, device)


def _refusal(node: NodeDef) -> Refused:
    if node.op in ADDED:
        return Refused(
            f"op {node.op} (node {node.name}) is a stateful one of your own library, and may do anything",
            remedy=f"name it if you trust it: --op-library FILE@sha256:HEX+{node.op}",
        )
    return Refused(
        f"op {node.op} (node {node.name}) touches files, network or the process on the way to an output",
        remedy="cut above it with `inputs` in the manifest",
    )


def touches_host(node: NodeDef) -> bool:
    """Whether a node may do more than compute in the memory of its process."""
    if node.op == "PrintV2":
        return attribute(node, "output_stream").s not in STREAMS
    if node.op in FILE_OPS or HOST_OPS.fullmatch(node.op):
        return True
    registered = op_def_registry.get(node.op)
    is_stateful = registered is not None and registered.is_stateful
    return is_stateful and not HARMLESS_STATE.fullmatch(node.op) and node.op not in NAMED
