"""What people search for when a TF1 model does not work in TF2: exact texts, each of which the guide must hold.

Most were seen with TensorFlow 1.15.5 and 2.21; the others are from the threads that people find. ``…`` stands for what
is another text each time.
"""

from typing import Final

TEXTS: Final = (
    "Attempting to use uninitialized value StatefulPartitionedCall/w",
    "FailedPreconditionError … Attempting to use uninitialized value w",
    (
        "Could not find variable b. This could mean that the variable has been deleted. In TF1, it can also mean the "
        "variable is uninitialized … Resource localhost/b/N10tensorflow3VarE does not exist"
    ),
    "ValueError: No variables to save",
    "Input 0 of node X was passed float from Y:0 incompatible with expected float_ref.",
    "…expected resource",
    "NotFoundError: … Key resnet_v2_50/block1/unit_1/bottleneck_v2/conv1/BatchNorm/beta not found in checkpoint",
    'Tensor name "resnet_v1_152/…/biases" not found in checkpoint files',
    "Assign requires shapes of both tensors to match. lhs shape= [1001] rhs shape= [1000]",
    (
        "DataLossError: Unable to open table file …: …not an sstable (bad magic number): perhaps your file is in a "
        "different file format and you need to use a different restore operator?"
    ),
    "Unsuccessful TensorSliceReader constructor: Failed to find any matching files for …",
    "The passed save_path is not a valid checkpoint",
    "File does not exist. Received: …meta",
    "You must feed a value for placeholder tensor 'is_training' with dtype bool",
    "UnliftableError: Unable to lift tensor … because it depends transitively on placeholder",
    "Op type not registered 'Resampler'",
    "Op type not registered 'BlockLSTM'",
    "BucketizeWithInputBoundaries",
    "No OpKernel was registered to support Op 'BoostedTrees…",
    "CompareAndBitpack",
    (
        "NodeDef mentions attr 'incompatible_shape_error' not in Op<name=Equal …>. (Check whether your "
        "GraphDef-interpreting binary is up to date"
    ),
    "Op type not registered 'DisableCopyOnRead'",
    "File format not supported: filepath=… Keras 3 only supports V3 … files, legacy H5 …",
    "GlorotUniform.__init__() got an unexpected keyword argument 'dtype'",
    "Could not deserialize 'keras.metrics.mse'",
    "No model config found in the file",
    "Requested the deserialization of a … layer",
    "pop expected at most 1 argument, got 2",
    "Argument(s) not recognized: {'lr'",
    "Could not locate class 'Model'",
    "Message tensorflow.GraphDef exceeds maximum protobuf size of 2GB: …",
    "Cannot create a tensor proto whose content is larger than 2GB.",
    "ValueError: Invalid GraphDef",
    "Table not initialized.",
    "…/vocab.txt; No such file or directory",
    "'AutoTrackable' object is not callable",
    "'_UserObject' object is not callable",
    "requires a `tags=` argument … 2 MetaGraphs … [[], ['train']]",
    "MetaGraphDef associated with tags 'train' could not be found",
    "module 'tensorflow_hub' has no attribute 'Module'",
    "Only instances of `keras.Layer` can be added",
    "Setting hub.KerasLayer.trainable = True is unsupported when loading from the TF1 Hub format",
    "module 'tensorflow' has no attribute 'estimator'",
    "module 'tensorflow' has no attribute 'contrib'",
    "module 'tensorflow' has no attribute 'placeholder'",
    "is not available with Keras 3",
    "No module named 'tf_keras.legacy_tf_layers'",
    "track_tf1_style_variables",
    "Could not parse example input",
    "Got unexpected keys in input_dict",
    "KeyError: \"The name 'input:0' refers to a Tensor which does not exist",
    "The name 'x' refers to an Operation, not a Tensor",
    "KeyError: 'serving_default'",
    "SavedModel file does not exist at: …/{saved_model.pbtxt|saved_model.pb}",
    "Error parsing message with type 'tensorflow.GraphDef'",
    "Error parsing message with type 'tensorflow.SavedModel'",
    "Detected unsupported operations … Enter (No registered 'Enter' OpKernel for XLA",
    "TensorFlow Lite currently doesn't support control flow ops: Merge, Switch",
    "Cannot dlopen some GPU libraries … Skipping registering GPU devices",
    "Tensorflow has not been built with TensorRT support",
    "File system scheme 's3' not implemented",
    "Resource localhost/_AnonymousVar24/… does not exist",
    "345600 values … requested shape has 1474560",
    "FusedBatchNormV3_1_grad… has an _output_shapes attribute inconsistent with the GraphDef",
    "InvalidVersion…'0.12.head'",
    "export-?????-of-00001",
    "output of type float_ref",
    "tensor listed twice in inputs",
    "Could not find callback with key=pyfunc_0 in the registry",
)

SILENT: Final = (
    'tf.train.load_checkpoint("model.ckpt.index")',
    "skip_mismatch=True",
    "[4, 7]",
    "cosine",
    "ExponentialMovingAverage",
    "1001 classes",
    "UPDATE_OPS",
    "hard_sigmoid",
    "layer norm",
    "renamed to `saved_model.pb`",
    "An empty file",
    "TF32",
    "Dropout was switched on",
    "by order",
    "f([a, b])[0] != f([a])[0]",
)
"""Words of the symptoms that raise nothing."""
