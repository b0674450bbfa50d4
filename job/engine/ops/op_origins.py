"""Where an op came from that this TensorFlow does not have, or cannot run."""

import re
from typing import Final

RETIRED: Final[dict[str, str]] = {
    "the core": "CompareAndBitpack",
    "the tree estimators": """
        TensorForestCreateTreeVariable TensorForestTreeDeserialize TensorForestTreeIsInitializedOp
        TensorForestTreePredict TensorForestTreeResourceHandleOp TensorForestTreeSerialize
        TensorForestTreeSize
    """,
    "tf.contrib.bigtable": """
        BigtableClient BigtableLookupDataset BigtablePrefixKeyDataset BigtableRangeKeyDataset
        BigtableSampleKeyPairsDataset BigtableSampleKeysDataset BigtableScanDataset BigtableTable
        DatasetToBigtable
    """,
    "tf.contrib.boosted_trees": """
        BucketizeWithInputBoundaries BuildCategoricalEqualitySplits BuildDenseInequalitySplits
        BuildSparseInequalitySplits CenterTreeEnsembleBias CreateQuantileAccumulator
        CreateStatsAccumulatorScalar CreateStatsAccumulatorTensor CreateTreeEnsembleVariable
        DecisionTreeEnsembleResourceHandleOp GradientTreesPartitionExamples GradientTreesPrediction
        GradientTreesPredictionVerbose GrowTreeEnsemble MakeQuantileSummaries
        QuantileAccumulatorAddSummaries QuantileAccumulatorDeserialize QuantileAccumulatorFlush
        QuantileAccumulatorFlushSummary QuantileAccumulatorGetBuckets QuantileAccumulatorIsInitialized
        QuantileAccumulatorSerialize QuantileBuckets QuantileStreamResourceHandleOp Quantiles
        StatsAccumulatorScalarAdd StatsAccumulatorScalarDeserialize StatsAccumulatorScalarFlush
        StatsAccumulatorScalarIsInitialized StatsAccumulatorScalarMakeSummary
        StatsAccumulatorScalarResourceHandleOp StatsAccumulatorScalarSerialize StatsAccumulatorTensorAdd
        StatsAccumulatorTensorDeserialize StatsAccumulatorTensorFlush StatsAccumulatorTensorIsInitialized
        StatsAccumulatorTensorMakeSummary StatsAccumulatorTensorResourceHandleOp
        StatsAccumulatorTensorSerialize TreeEnsembleDeserialize TreeEnsembleIsInitializedOp
        TreeEnsembleSerialize TreeEnsembleStampToken TreeEnsembleStats TreeEnsembleUsedHandlers
    """,
    "tf.contrib.cloud": """
        BigQueryReader GcsConfigureBlockCache GcsConfigureCredentials GenerateBigQueryReaderPartitions
    """,
    "tf.contrib.factorization": "MaskedMatmul WALSComputePartialLhsAndRhs",
    "tf.contrib.ffmpeg": "DecodeAudio DecodeAudioV2 DecodeVideo EncodeAudio EncodeAudioV2",
    "tf.contrib.framework": "ZeroInitializer ZeroVarInitializer",
    "tf.contrib.fused_conv": "FusedConv2DBiasActivation",
    "tf.contrib.hadoop": "SequenceFileDataset",
    "tf.contrib.ignite": "IgniteDataset",
    "tf.contrib.image": """
        AdjustHsvInYiq BipartiteMatch ImageConnectedComponents ImageProjectiveTransform
        SingleImageRandomDotStereograms
    """,
    "tf.contrib.input_pipeline": "ObtainNext",
    "tf.contrib.kafka": "KafkaDataset",
    "tf.contrib.kinesis": "KinesisDataset",
    "tf.contrib.layers": "SparseFeatureCross SparseFeatureCrossV2",
    "tf.contrib.libsvm": "DecodeLibsvm",
    "tf.contrib.memory_stats": "BytesInUse BytesLimit MaxBytesInUse",
    "tf.contrib.nearest_neighbor": "HyperplaneLSHProbes",
    "tf.contrib.periodic_resample": "PeriodicResample PeriodicResampleOpGrad",
    "tf.contrib.reduce_slice_ops": "ReduceSliceMax ReduceSliceMin ReduceSliceProd ReduceSliceSum",
    "tf.contrib.remote_fused_graph": "RemoteFusedGraphExecute",
    "tf.contrib.resampler": "Resampler ResamplerGrad",
    "tf.contrib.rpc": "Rpc TryRpc",
    "tf.contrib.seq2seq": "GatherTree",
    "tf.contrib.tensor_forest": """
        CreateFertileStatsVariable CreateTreeVariable DecisionTreeResourceHandleOp FeatureUsageCounts
        FertileStatsDeserialize FertileStatsIsInitializedOp FertileStatsResourceHandleOp
        FertileStatsSerialize FinalizeTree GrowTreeV4 ProcessInputV4 ReinterpretStringToFloat ScatterAddNdim
        TraverseTreeV4 TreeDeserialize TreeIsInitializedOp TreePredictionsV4 TreeSerialize TreeSize
        UpdateModelV4
    """,
    "tf.contrib.text": "SkipGramGenerateCandidates",
}
"""Ops that TensorFlow 1.15.5 had and 2.21 has not, by package: the difference of the two registries."""

WITHOUT_KERNEL: Final = re.compile(r"(Is)?BoostedTrees\w+")
"""Ops that are still registered and whose kernels are gone."""

ELSEWHERE: Final[tuple[tuple[str, str], ...]] = (
    (r"_?[nN][gG]raph\w*", "nGraph: save the model before the nGraph bridge rewrites it"),
    (r"\w*TRT\w+", "TensorRT (TF-TRT): convert the model from before its optimisation for TensorRT"),
    (r"Horovod\w+|Byteps\w+", "a distributed trainer: export the inference graph"),
    (r"Addons>\w+", "tensorflow-addons"),
    (r"IO>\w+", "tensorflow-io"),
    (r"Sentencepiece\w+|Wordpiece\w+|\w*Tokenize\w*|CaseFoldUTF8|NormalizeUTF8\w*", "tensorflow-text"),
    (r"Decode(Proto|JSON)SparseV\d|\w*Struct2Tensor\w*", "struct2tensor"),
    (r"SimpleML\w+", "tensorflow-decision-forests"),
    (r"\w*TPU\w*|Tpu\w+|Infeed\w+|Outfeed\w+|CrossReplicaSum|Xla\w+", "TPUs: export the model for CPU and GPU"),
    (r"TFLite_\w+|edgetpu\w*", "TensorFlow Lite: convert the model from before its conversion to it"),
    (r"_Mkl\w+|Quantized\w+", "TensorFlow built with oneDNN (MKL)"),
    (r"CudnnRNN\w*|_?Nccl\w+", "TensorFlow built for GPUs: run the image that is, with --device gpu"),
    (r"Dali\w*", "NVIDIA DALI"),
    (
        r"PSROI\w+|RoiPool\w*|ROIAlign\w*|NativeLstm\w*|WordBeamSearch|KMC2\w*|\w*Warp[cC][tT][cC]\w*",
        "a project's own op library",
    ),
)
"""Ops of other projects and other builds, by name."""

_PACKAGES: Final = {op: package for package, ops in RETIRED.items() for op in ops.split()}


def origin_of(op: str) -> str:
    """Return where an op came from, with the release that has it; empty where that is not known."""
    if op in _PACKAGES:
        return f"{_PACKAGES[op]} of TensorFlow 1.15"
    if WITHOUT_KERNEL.fullmatch(op):
        return "the tree estimators of TensorFlow 1.15"
    return next((project for pattern, project in ELSEWHERE if re.fullmatch(pattern, op)), "")
