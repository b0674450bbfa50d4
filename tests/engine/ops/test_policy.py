import pytest
import tensorflow as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2, op_def_pb2
from tensorflow.python.framework import c_api_util, op_def_registry

from job.engine.graph import Graph
from job.engine.ops.policy import check_ops
from job.errors import BadInput, Refused
from tests.engine.models import graph_of, v1

ALLOWED = """
AddManySparseToTensorsMap AddSparseToTensorsMap AllCandidateSampler Assert AssignAddVariableOp AssignSubVariableOp
AssignVariableOp BoostedTreesCenterBias BoostedTreesCreateEnsemble BoostedTreesCreateQuantileStreamResource
BoostedTreesDeserializeEnsemble BoostedTreesEnsembleResourceHandleOp BoostedTreesExampleDebugOutputs
BoostedTreesFlushQuantileSummaries BoostedTreesGetEnsembleStates BoostedTreesPredict
BoostedTreesQuantileStreamResourceAddSummaries BoostedTreesQuantileStreamResourceDeserialize
BoostedTreesQuantileStreamResourceFlush BoostedTreesQuantileStreamResourceGetBucketBoundaries
BoostedTreesQuantileStreamResourceHandleOp BoostedTreesSerializeEnsemble BoostedTreesTrainingPredict
BoostedTreesUpdateEnsemble BoostedTreesUpdateEnsembleV2 Case CheckNumerics CheckNumericsV2 CudnnRNN CudnnRNNBackprop
CudnnRNNBackpropV2 CudnnRNNBackpropV3 CudnnRNNV2 CudnnRNNV3 DatasetToSingleElement DestroyResourceOp DeviceIndex
DeepCopy DisableCopyOnRead Empty GuaranteeConst HashTable HashTableV2 If InitializeTableV2
IsBoostedTreesEnsembleInitialized
IsBoostedTreesQuantileStreamResourceInitialized Iterator IteratorFromStringHandle IteratorFromStringHandleV2
IteratorGetNext IteratorGetNextAsOptional IteratorGetNextSync IteratorToStringHandle IteratorV2
LearnedUnigramCandidateSampler LogUniformCandidateSampler LookupTableExportV2 LookupTableFindV2 LookupTableImportV2
LookupTableInsertV2 LookupTableRemoveV2 LookupTableSizeV2 MakeIterator Multinomial MutableDenseHashTable
MutableDenseHashTableV2 MutableHashTable MutableHashTableOfTensors MutableHashTableOfTensorsV2 MutableHashTableV2
NonDeterministicInts OneShotIterator ParameterizedTruncatedNormal Print PrintV2 RandomCrop RandomDataset
RandomDatasetV2 RandomGamma RandomPoisson RandomPoissonV2 RandomShuffle RandomStandardNormal RandomUniform
RandomUniformInt RangeDataset ReadVariableOp ReduceDataset ResourceApplyAdaMax ResourceApplyAdadelta
ResourceApplyAdagrad ResourceApplyAdagradDA ResourceApplyAdagradV2 ResourceApplyAdam ResourceApplyAdamWithAmsgrad
ResourceApplyAddSign ResourceApplyCenteredRMSProp ResourceApplyFtrl ResourceApplyFtrlV2 ResourceApplyGradientDescent
ResourceApplyKerasMomentum ResourceApplyMomentum ResourceApplyPowerSign ResourceApplyProximalAdagrad
ResourceApplyProximalGradientDescent ResourceApplyRMSProp ResourceCountUpTo ResourceGather ResourceGatherNd
ResourceScatterAdd ResourceScatterDiv ResourceScatterMax ResourceScatterMin ResourceScatterMul ResourceScatterNdAdd
ResourceScatterNdMax ResourceScatterNdMin ResourceScatterNdSub ResourceScatterNdUpdate ResourceScatterSub
ResourceScatterUpdate ResourceSparseApplyAdadelta ResourceSparseApplyAdagrad ResourceSparseApplyAdagradDA
ResourceSparseApplyAdagradV2 ResourceSparseApplyCenteredRMSProp ResourceSparseApplyFtrl ResourceSparseApplyFtrlV2
ResourceSparseApplyKerasMomentum ResourceSparseApplyMomentum ResourceSparseApplyProximalAdagrad
ResourceSparseApplyProximalGradientDescent ResourceSparseApplyRMSProp ResourceStridedSliceAssign RngReadAndSkip
RngSkip SampleDistortedBoundingBox SampleDistortedBoundingBoxV2 ShuffleAndRepeatDatasetV2 ShuffleDatasetV2
ShuffleDatasetV3 SparseTensorSliceDataset Stack StackCloseV2 StackPopV2 StackPushV2 StackV2 StatefulPartitionedCall
StatefulRandomBinomial StatefulStandardNormal StatefulStandardNormalV2 StatefulTruncatedNormal StatefulUniform
StatefulUniformFullInt StatefulUniformInt StatelessRandomGetAlg TakeManySparseFromTensorsMap TemporaryVariable
TensorArray TensorArrayCloseV3 TensorArrayConcatV3 TensorArrayGatherV3 TensorArrayGrad TensorArrayGradV2
TensorArrayGradV3 TensorArrayGradWithShape TensorArrayReadV3 TensorArrayScatterV3 TensorArraySizeV3 TensorArraySplitV3
TensorArrayV2 TensorArrayV3 TensorArrayWriteV3 TensorDataset TensorSliceDataset ThreadUnsafeUnigramCandidateSampler
Timestamp TruncatedNormal UniformCandidateSampler VarHandleOp VarIsInitializedOp Variable VariableShape VariableV2
While
"""
"""Every op that TensorFlow registers as stateful and that may run, reviewed one by one: its state is in memory."""

STATELESS_REFUSED = """
Abort BarrierClose BarrierIncompleteSize BarrierInsertMany BarrierReadySize BarrierTakeMany CacheDataset CopyHost
DatasetFromGraph DebugGradientIdentity DebugGradientRefIdentity DebugIdentity DebugNanCount DebugNumericSummary
DebugNumericSummaryV2 DecodeProtoV2 EncodeProto ExperimentalSleepDataset GenerateVocabRemapping ImmutableConst
InitializeTableFromTextFile MatchingFiles PyFuncStateless ReadFile ReaderNumRecordsProduced
ReaderNumWorkUnitsCompleted ReaderRead ReaderReadUpTo ReaderReset ReaderRestoreState ReaderSerializeState
RegisterDataset RegisterDatasetV2 SleepDataset SnapshotChunkDataset SnapshotDataset SnapshotDatasetReader
SnapshotDatasetV2 SnapshotNestedDatasetReader TPUCompilationResult TPUEmbeddingActivations TPUPartitionedCall
TPUPartitionedInput TPUPartitionedInputV2 TPUPartitionedOutput TPUPartitionedOutputV2 TPUReplicateMetadata
TPUReplicatedInput TPUReplicatedOutput TpuHandleToProtoKey XlaCustomCall XlaCustomCallV2
"""
"""Every op that TensorFlow does not call stateful and that may not run; `Snapshot` is not among them, and copies."""


TOUCHING = """
ReadFile MatchingFiles ImmutableConst Abort CSVDataset CSVDatasetV2 ExperimentalCSVDataset LoadDataset LMDBDataset
ExperimentalLMDBDataset MatchingFilesDataset ExperimentalMatchingFilesDataset SqlDataset ExperimentalSqlDataset
CacheDataset CacheDatasetV2 SnapshotDataset SnapshotDatasetV2 SnapshotDatasetReader ListSnapshotChunksDataset
DataServiceDatasetV4 Restore RestoreSlice RestoreV2 DTensorRestoreV2 WriteFile PyFuncStateless DebugIdentity
InitializeTableFromTextFile GenerateVocabRemapping FixedUnigramCandidateSampler QueueDequeueV2 Stage
"""
"""Ops that a list of names has missed before, or could miss."""


def registered() -> list[op_def_pb2.OpDef]:
    """Return all that this TensorFlow has."""
    ops = op_def_pb2.OpList()
    ops.ParseFromString(c_api_util.c_api.TF_GetBuffer(c_api_util.c_api.TF_GetAllOpList()))
    return list(ops.op)


def refused(op: str) -> bool:
    """Whether a graph of this op alone is refused."""
    try:
        check_ops(Graph(graph_pb2.GraphDef(node=[node_def_pb2.NodeDef(name="one", op=op)])), ["one"])
    except Refused:
        return True
    except BadInput:  # it may run, and cannot: no kernel is there, or a lone node has no attributes
        return False
    return False


def test_stateful_ops_are_refused_unless_reviewed() -> None:
    """Of the whole registry exactly the reviewed stateful ops may run: a TensorFlow with a new one refuses it."""
    assert sorted(op.name for op in registered() if op.is_stateful and not refused(op.name)) == sorted(ALLOWED.split())


@pytest.mark.parametrize("op", TOUCHING.split())
def test_ops_that_touch_the_host_are_refused(op: str) -> None:
    """Ops that read, write, connect, block or end the process are refused, also those registered as stateless."""
    assert op_def_registry.get(op) is not None
    assert refused(op)


def test_computing_is_not_refused() -> None:
    """Of the whole registry exactly these stateless ops are refused: none that models compute with is among them."""
    assert sorted(op.name for op in registered() if not op.is_stateful and refused(op.name)) == sorted(
        STATELESS_REFUSED.split()
    )


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
    """An op that reads a file is refused with its name, its node and what to do."""
    graph = Graph(graph_of(reading))
    with pytest.raises(Refused, match=r"ReadFile \(node read\)") as caught:
        check_ops(graph, graph.ancestors(["y"]))
    assert "inputs" in caught.value.remedy


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
