"""The error texts of the migration guide are what TensorFlow 2.21 says of the guide's own models, tried the usual ways.

`tests/test_usual_recipes.py` shows the ways that fail without an error, or later.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.docs import given
from tests.docs.guide import entries
from tests.engine import tf

v1 = tf.compat.v1

WORDS = {"words:0": ["cat"]}
X = {"x:0": np.ones([1, 4], np.float32)}


def imported(path: Path, fetch: str = "", feeds: Any = None) -> Any:
    """Import a GraphDef into a new graph, and run it in a session if asked."""
    graph_def = v1.GraphDef.FromString(path.read_bytes())
    with given.session() as session:
        tf.import_graph_def(graph_def, name="")
        return session.run(fetch, feeds) if fetch else session.graph


def restored(prefix: Path, fetch: str, feeds: Any = None) -> Any:
    """Import a MetaGraph, restore its checkpoint, fill its tables and run it."""
    with given.session() as session:
        v1.train.import_meta_graph(f"{prefix}.meta").restore(session, str(prefix))
        session.run(v1.tables_initializer())
        return session.run(fetch, feeds)


def into(prefix: Path, name: str, *shape: int, resource: bool = False) -> Any:
    """Restore a checkpoint into one variable of one's own."""
    with given.session() as session:
        variable = v1.get_variable(name, shape, use_resource=resource)
        v1.train.Saver().restore(session, str(prefix))
        return session.run(variable)


def loaded(path: Path, **how: Any) -> Any:
    """Load a SavedModel as one does in TF2."""
    return tf.saved_model.load(str(path), **how)


def pruned(prefix: Path, feed: str, fetch: str) -> Any:
    """Wrap a MetaGraph as TensorFlow's guide has it."""
    wrapped = v1.wrap_function(lambda: v1.train.import_meta_graph(f"{prefix}.meta") and None, [])
    return wrapped.prune(feed, fetch)


def frozen_by_hand(prefix: Path) -> Any:
    """Freeze a graph with a table, and run what is left."""
    with given.session() as session:
        v1.train.import_meta_graph(f"{prefix}.meta").restore(session, str(prefix))
        graph_def = session.graph.as_graph_def()
        frozen = v1.graph_util.convert_variables_to_constants(session, graph_def, ["vectors"])
    (prefix.parent / "frozen.pb").write_bytes(frozen.SerializeToString())
    return imported(prefix.parent / "frozen.pb", "vectors:0", WORDS)


def compiled(path: Path) -> Any:
    """Compile a graph with a loop of TF1 by XLA."""
    graph_def = v1.GraphDef.FromString(path.read_bytes())
    wrapped = v1.wrap_function(lambda: tf.import_graph_def(graph_def, name=""), [])
    tensor = wrapped.graph.get_tensor_by_name
    return tf.function(wrapped.prune(tensor("x:0"), tensor("outputs:0")), jit_compile=True)(tf.zeros([2, 3, 6]))


def keras(path: Path) -> Any:
    """Load a Keras file, or a directory."""
    return tf.keras.models.load_model(path)


def named(name: str) -> Any:
    """Ask a graph with an input ``x`` for a tensor."""
    with given.session() as session:
        given.fed()
        return session.graph.get_tensor_by_name(name)


RECIPES: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "Attempting to use uninitialized value": ("graph_alone", lambda at: imported(at / "graph.pb", "logits:0", X)),
    "incompatible with expected float_ref.": ("frozen_with_updates", lambda at: imported(at / "frozen.pb")),
    "Op type not registered '": ("custom_op_frozen", lambda at: imported(at / "frozen.pb")),
    "Could not find callback with key=pyfunc_0 in the registry": (
        "py_func_frozen",
        lambda at: imported(at / "frozen.pb", "y:0", {"x:0": np.ones([1, 6])}),
    ),
    "Error parsing message with type 'tensorflow.GraphDef'": ("html_frozen", lambda at: imported(at / "frozen.pb")),
    "SavedModel file does not exist at: ": ("html_frozen", loaded),
    "Error parsing message with type 'tensorflow.SavedModel'": (
        "html_frozen",
        lambda at: loaded((at / "frozen.pb").rename(at / "saved_model.pb").parent),
    ),
    "requires a `tags=` argument if there is more than one MetaGraph": (
        "hub_module",
        lambda at: loaded(at / "module"),
    ),
    "MetaGraphDef associated with tags 'train' could not be found in SavedModel": (
        "fixed_batch_saved_model",
        lambda at: loaded(at / "saved_model", tags=["train"]),
    ),
    "The name 'does_not_exist:0' refers to a Tensor which does not exist": (
        "broken_signature_saved_model",
        lambda at: loaded(at / "saved_model"),
    ),
    "vocab.txt; No such file or directory": (
        "moved_vocabulary_checkpoint",
        lambda at: restored(at / "model.ckpt", "vectors:0", WORDS),
    ),
    "Keras 3 only supports V3 `.keras` files": ("fixed_batch_saved_model", lambda at: keras(at / "saved_model")),
    "GlorotUniform.__init__() got an unexpected keyword argument 'dtype'": (
        "keras_file",
        lambda _: tf.keras.initializers.GlorotUniform(seed=None, dtype="float32"),
    ),
    "pop expected at most 1 argument, got 2": ("keras_1_file", lambda at: keras(at / "model.h5")),
    "Requested the deserialization of a `Lambda` layer": ("keras_lambda", lambda at: keras(at / "model.h5")),
    "No model config found in the file": ("keras_weights", lambda at: keras(at / "weights.h5")),
    "Only instances of `keras.Layer` can be added": (
        "fixed_batch_saved_model",
        lambda at: tf.keras.Sequential([loaded(at / "saved_model")]),
    ),
    "module 'tensorflow' has no attribute 'contrib'": ("", lambda _: tf.contrib),
    "module 'tensorflow' has no attribute 'placeholder'": ("", lambda _: tf.placeholder),
    "module 'tensorflow' has no attribute 'estimator'": ("", lambda _: tf.estimator),
    "`dense` is not available with Keras 3": ("", lambda _: v1.layers.dense(tf.zeros([1, 2]), 3)),
    "File system scheme 's3' not implemented": ("", lambda _: tf.io.gfile.exists("s3://bucket/model")),
    "not found in checkpoint": ("ref_variables_checkpoint", lambda at: into(at / "model.ckpt-0", "other", 3)),
    "Assign requires shapes of both tensors to match. lhs shape= [": (
        "ref_variables_checkpoint",
        lambda at: into(at / "model.ckpt-0", "net/dense/bias", 6),
    ),
    "not an sstable (bad magic number): perhaps your file is in a different file format": (
        "ref_variables_checkpoint",
        lambda at: tf.train.load_checkpoint(str(at / "model.ckpt-0.data-00000-of-00001")),
    ),
    "Unsuccessful TensorSliceReader constructor: Failed to find any matching files for ": (
        "ref_variables_checkpoint",
        lambda at: tf.train.load_checkpoint(str(at / "model.ckpt")),
    ),
    "The passed save_path is not a valid checkpoint: ": (
        "ref_variables_checkpoint",
        lambda at: into(at / "model.ckpt", "net/dense/bias", 5),
    ),
    "-00000-of-00001; No such file or directory": (
        "missing_data_checkpoint",
        lambda at: into(at / "model.ckpt-0", "net/dense/bias", 5),
    ),
    "File does not exist. Received: ": (
        "checkpoint_of_own_network",
        lambda at: restored(at / "model.ckpt", "logits:0"),
    ),
    "You must feed a value for placeholder tensor '": (
        "keep_prob_checkpoint",
        lambda at: restored(at / "model.ckpt-0", "logits:0", {"x:0": np.ones([1, 6])}),
    ),
    "Unable to lift tensor ": ("keep_prob_checkpoint", lambda at: pruned(at / "model.ckpt-0", "x:0", "logits:0")),
    "Table not initialized.": ("lookup_table_checkpoint", lambda at: frozen_by_hand(at / "model.ckpt")),
    "appears more than once in the input list": ("odd_signatures_saved_model", lambda at: loaded(at / "saved_model")),
    "Detected unsupported operations when trying to compile graph": (
        "while_loop_frozen",
        lambda at: compiled(at / "frozen.pb"),
    ),
    "'AutoTrackable' object is not callable": (
        "hub_module",
        lambda at: loaded(at / "module", tags=[])(tf.zeros([1, 4])),
    ),
    "KeyError: 'serving_default'": (
        "hub_module",
        lambda at: loaded(at / "module", tags=[]).signatures["serving_default"],
    ),
    "The name 'input:0' refers to a Tensor which does not exist": ("", lambda _: named("input:0")),
    "The name 'x' refers to an Operation, not a Tensor": ("", lambda _: named("x")),
    "Could not parse example input, value: '": (
        "examples_saved_model",
        lambda at: loaded(at / "saved_model").signatures["serving_default"](tf.constant(["none"])),
    ),
    "missing a required argument: 'examples'": (
        "examples_saved_model",
        lambda at: loaded(at / "saved_model").signatures["serving_default"](age=tf.constant([1.0])),
    ),
    "Input to reshape is a tensor with ": (
        "fixed_batch_saved_model",
        lambda at: loaded(at / "saved_model").signatures["serving_default"](x=tf.zeros([3, 2, 2])),
    ),
}


@pytest.mark.parametrize("text", RECIPES)
def test_the_usual_way_ends_with_this_text(text: str, tmp_path: Path) -> None:
    """TensorFlow says it of the model that the guide is given, and the guide has the very words."""
    model, recipe = RECIPES[text]
    if model:
        given.prepare(model, tmp_path)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - what it says is looked at, not what it is
        recipe(tmp_path / "in")
    assert text in f"{type(caught.value).__name__}: {caught.value}"
    assert any(text in line for entry in entries() for line in entry.searched)


def test_a_resource_variable_takes_another_shape_without_a_word(tmp_path: Path) -> None:
    """A reference variable would not; the values come back in a shape that the variable does not have."""
    given.prepare("ref_variables_checkpoint", tmp_path)
    assert into(tmp_path / "in/model.ckpt-0", "net/dense/bias", 7, resource=True).shape == (5,)


def test_an_empty_file_is_a_graph_without_nodes(tmp_path: Path) -> None:
    """Nothing is raised, and there is nothing to run."""
    given.prepare("empty_file", tmp_path)
    assert imported(tmp_path / "in/frozen.pb").get_operations() == []


def test_batch_norm_in_training_mode_mixes_examples(tmp_path: Path) -> None:
    """The first of two examples is answered otherwise than alone."""
    given.prepare("batch_norm_in_training_mode", tmp_path)
    x = np.arange(96, dtype=np.float32).reshape(2, 4, 4, 3) ** 2
    alone, both = (restored(tmp_path / "in/model.ckpt", "y:0", {"x:0": fed}) for fed in (x[:1], x))
    assert np.abs(alone - both[:1]).max() > 0.1


def test_frozen_dropout_answers_otherwise_each_time(tmp_path: Path) -> None:
    """The same input, two answers."""
    given.prepare("frozen_with_dropout", tmp_path)
    ones = {"x:0": np.ones([64, 4], np.float32)}
    first, second = (imported(tmp_path / "in/frozen.pb", "logits:0", ones) for _ in range(2))
    assert (first != second).any()
