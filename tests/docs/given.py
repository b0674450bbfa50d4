"""The models that the migration guide speaks of, as its readers have them: small, and broken in the same way.

`prepare` writes one into ``in/``: a golden of its name, or what the function of its name here builds.
"""

import gzip
import inspect
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import h5py  # noqa: TID253 - it is Keras' files that are written here
import numpy as np

from tests.architectures import originals
from tests.engine import tf
from tests.jobs import GOLDENS

v1 = tf.compat.v1

RECORDED: Final = ("case.json", "golden.npz")
"""What a golden holds beside the model."""

GONE: Final = "/data/old/vocab.txt"
"""Where a vocabulary was on the machine that trained."""

KERNEL = np.arange(12, dtype=np.float32).reshape(4, 3) / 10
MEAN, VARIANCE = np.array([0.5, -1.0, 2.0], np.float32), np.array([1.5, 0.25, 4.0], np.float32)


def prepare(name: str, folder: Path) -> None:
    """Write what a reader has into ``in/`` of a folder, and what lies elsewhere beside it."""
    source = folder / "in"
    golden = GOLDENS / name
    if golden.is_dir():
        shutil.copytree(golden, source, ignore=shutil.ignore_patterns(*RECORDED))
        return
    source.mkdir()
    made()[name](source)


def made() -> Mapping[str, Callable[[Path], None]]:
    """Return the functions of this module that write a model, by name: those of one folder."""
    functions = inspect.getmembers(sys.modules[__name__], inspect.isfunction)
    return {
        name: function for name, function in functions if list(inspect.signature(function).parameters) == ["source"]
    }


def value(name: str, initial: Any, **how: Any) -> Any:
    """Return a variable as TF1 made them: a reference."""
    return v1.get_variable(name, initializer=tf.convert_to_tensor(initial), use_resource=False, **how)


def dense(x: Any, scope: str = "net") -> Any:
    """Build the smallest network that has names to match."""
    with v1.variable_scope(scope):
        return tf.matmul(x, value("dense/kernel", KERNEL)) + value("dense/bias", MEAN)


def fed(*shape: int | None, name: str = "x") -> Any:
    """Return an input of floats."""
    return v1.placeholder(tf.float32, shape or [None, 4], name=name)


@contextmanager
def session() -> Iterator[Any]:
    """Enter a new graph with a session of it."""
    with tf.Graph().as_default(), v1.Session() as opened:
        yield opened


def initialise(opened: Any, *, fill_tables: bool = True) -> None:
    """Give every variable its value and every table its content."""
    opened.run(v1.global_variables_initializer())
    opened.run(v1.tables_initializer() if fill_tables else ())


def save(opened: Any, prefix: Path, *, meta: bool = True, fill_tables: bool = True) -> None:
    """Write a checkpoint of all variables."""
    initialise(opened, fill_tables=fill_tables)
    v1.train.Saver().save(opened, str(prefix), write_meta_graph=meta)


def freeze(opened: Any, path: Path, output: str) -> None:
    """Write the graph with its variables as constants."""
    initialise(opened)
    graph_def = opened.graph.as_graph_def()
    path.write_bytes(v1.graph_util.convert_variables_to_constants(opened, graph_def, [output]).SerializeToString())


def graph_alone(source: Path) -> None:
    """A GraphDef whose weights are elsewhere, taken for a frozen one."""
    with session() as opened:
        tf.identity(dense(fed()), name="logits")
        (source / "graph.pb").write_bytes(opened.graph.as_graph_def().SerializeToString())


def graph_and_checkpoint(source: Path) -> None:
    """The same, with the checkpoint of its weights beside it."""
    graph_alone(source)
    with session() as opened:
        dense(fed())
        save(opened, source / "model.ckpt", meta=False)


def frozen_with_updates(source: Path) -> None:
    """A frozen graph in which the output waits for updates of what are constants now."""
    with session() as opened:
        x, mean = fed(None, 3), value("moving_mean", MEAN)
        with tf.control_dependencies([v1.assign_sub(mean, mean * 0.1, name="AssignMovingAvg")]):
            tf.identity(x - mean, name="y")
        graph_def = opened.graph.as_graph_def()
    (node,) = (node for node in graph_def.node if node.op == "VariableV2")
    node.Clear()
    node.MergeFrom(v1.NodeDef(name="moving_mean", op="Const"))
    node.attr["dtype"].type = tf.float32.as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(MEAN))
    kept = [node for node in graph_def.node if not node.name.startswith("moving_mean/Assign")]
    (source / "frozen.pb").write_bytes(v1.GraphDef(node=kept, versions=graph_def.versions).SerializeToString())


def checkpoint_of_another_scope(source: Path) -> None:
    """A checkpoint without ``.meta`` whose names begin otherwise than those of the graph at hand."""
    with session() as opened:
        dense(fed(), "tower/net")
        save(opened, source / "model.ckpt", meta=False)
    with session() as opened:
        tf.identity(dense(fed()), name="logits")
        (source.parent / "graph.pb").write_bytes(opened.graph.as_graph_def().SerializeToString())


def checkpoint_of_own_network(source: Path) -> None:
    """A checkpoint without ``.meta`` of a network that nobody else knows."""
    with session() as opened:
        dense(fed())
        save(opened, source / "model.ckpt", meta=False)


def slim_checkpoint(source: Path) -> None:
    """A checkpoint of slim's zoo: no graph, and a class for the background."""
    originals.case("slim_v1_50_classes1001").write(source, prefix="resnet_v1_50.ckpt")
    (source / "checkpoint").unlink()


def keras_checkpoint(source: Path) -> None:
    """What ``save_weights`` of Keras' ResNet50 left: no graph."""
    originals.case("keras_v1_50").write(source, prefix="resnet50.ckpt")


def averaged_checkpoint(source: Path) -> None:
    """A checkpoint of the weights and of their moving averages."""
    with session() as opened:
        kernel = value("kernel", KERNEL)
        tf.matmul(fed(), kernel, name="logits")
        value("kernel/ExponentialMovingAverage", KERNEL * 0.9, trainable=False)
        save(opened, source / "model.ckpt")


def batch_norm(x: Any, *, training: bool, mean: Any = MEAN, variance: Any = VARIANCE) -> Any:
    """Build a batch norm of three channels."""
    with v1.variable_scope("bn"):
        gamma, beta = value("gamma", VARIANCE), value("beta", MEAN)
        moving = value("moving_mean", mean, trainable=False), value("moving_variance", variance, trainable=False)
        y, batch_mean, batch_variance = v1.nn.fused_batch_norm(
            x, gamma, beta, *(() if training else moving), is_training=training
        )
        for variable, now in zip(moving, (batch_mean, batch_variance), strict=True) if training else ():
            v1.assign_sub(variable, (variable - now) * 0.1)
    return y


def batch_norm_in_training_mode(source: Path) -> None:
    """A checkpoint whose graph was built with ``is_training=True``, and has no optimizer that would show it."""
    with session() as opened:
        tf.identity(batch_norm(fed(None, 4, 4, 3), training=True), name="y")
        save(opened, source / "model.ckpt")


def statistics_that_never_moved(source: Path) -> None:
    """A model that was trained without ``UPDATE_OPS``."""
    with session() as opened:
        x = fed(None, 4, 4, 3)
        tf.identity(batch_norm(x, training=False, mean=MEAN * 0, variance=np.ones_like(VARIANCE)), name="y")
        save(opened, source / "model.ckpt")


def frozen_with_dropout(source: Path) -> None:
    """A graph that was frozen as it trained."""
    with session() as opened:
        tf.identity(dense(v1.nn.dropout(fed(), rate=0.5)), name="logits")
        freeze(opened, source / "frozen.pb", "logits")


def signature(inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> Any:
    """Return a signature of tensors by argument name."""
    return v1.saved_model.predict_signature_def(dict(inputs), dict(outputs))


def hub_module(source: Path) -> None:
    """A module of TF Hub's first format: no tag for inference, another for training, and the signature ``default``."""
    folder = source / "module"
    builder = v1.saved_model.Builder(str(folder))
    for tags in ([], ["train"]):
        with session() as opened:
            x = fed()
            signatures = {"default": signature({"default": x}, {"default": dense(x)})}
            if tags:
                builder.add_meta_graph(tags, signatures)
            else:
                initialise(opened)
                builder.add_meta_graph_and_variables(opened, tags, signatures)
    builder.save()
    (folder / "tfhub_module.pb").write_bytes(b"\x08\x03")


def fixed_batch_saved_model(source: Path) -> None:
    """An export that takes batches of 64, and says so in a reshape as well."""
    with session() as opened:
        x = fed(64, 2, 2)
        logits = dense(tf.reshape(x, [64, 4]))
        initialise(opened)
        v1.saved_model.simple_save(opened, str(source / "saved_model"), {"x": x}, {"logits": logits})


def broken_signature_saved_model(source: Path) -> None:
    """A SavedModel of which one signature names what is not in its graph."""
    with session() as opened:
        x = fed()
        good = signature({"x": x}, {"logits": dense(x)})
        bad = type(good).FromString(good.SerializeToString())
        bad.outputs["logits"].name = "does_not_exist:0"
        initialise(opened)
        builder = v1.saved_model.Builder(str(source / "saved_model"))
        builder.add_meta_graph_and_variables(opened, ["serve"], {"serving_default": good, "debug": bad})
        builder.save()


def moved_vocabulary_checkpoint(source: Path) -> None:
    """A graph that reads its vocabulary from a machine that is gone; the file lies elsewhere below the source."""
    (source / "text").mkdir()
    (source / "text/words.txt").write_text("the\nquick\nfox\n")
    with session() as opened:
        lines = tf.lookup.TextFileInitializer(
            GONE, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
        )
        ids = tf.lookup.StaticHashTable(lines, -1).lookup(v1.placeholder(tf.string, [None], name="words"))
        tf.gather(value("embedding", KERNEL), ids + 1, name="vectors")
        save(opened, source / "model.ckpt", fill_tables=False)


def lookup_table_checkpoint(source: Path) -> None:
    """A graph with a table that an operation fills which freezing leaves out."""
    with session() as opened:
        entries = tf.lookup.KeyValueTensorInitializer(tf.constant(["cat", "dog"]), tf.constant([0, 1], tf.int64))
        words = v1.placeholder(tf.string, [None], name="words")
        ids = tf.lookup.StaticHashTable(entries, -1).lookup(words)
        tf.gather(value("embedding", KERNEL), ids + 1, name="vectors")
        save(opened, source / "model.ckpt")


def renamed_frozen_graph(source: Path) -> None:
    """A frozen graph that somebody has called ``saved_model.pb``."""
    with session() as opened:
        tf.identity(dense(fed()), name="logits")
        freeze(opened, source / "saved_model.pb", "logits")


def empty_file(source: Path) -> None:
    """What a download left that broke at once."""
    (source / "frozen.pb").touch()


def estimator_directory(source: Path) -> None:
    """The ``model_dir`` of an Estimator."""
    for path in (GOLDENS / "estimator").glob("model.ckpt*"):
        content = path.read_bytes()
        (source / path.name.removesuffix(".gz")).write_bytes(
            gzip.decompress(content) if path.suffix == ".gz" else content
        )


def keras_golden(source: Path, version: str, name: str) -> None:
    """Copy a file that a Keras of those days has written."""
    shutil.copy(GOLDENS / "keras" / version / f"{name}.h5", source / "model.h5")


def keras_file(source: Path) -> None:
    """A file of tf.keras 1.x, with a dtype in its initializers and layers shared and nested."""
    keras_golden(source, "2.2.4-tf", "shared_and_nested")


def keras_1_file(source: Path) -> None:
    """A file of Keras 1, whose configuration is a list, with a recurrent layer whose gates are hard sigmoids."""
    keras_golden(source, "1.2.2", "words_1")


def keras_weights(source: Path) -> None:
    """A file of ``save_weights``: no configuration."""
    with h5py.File(source / "weights.h5", "w") as file:
        file.attrs.update({"layer_names": [b"dense"], "keras_version": "2.2.4-tf", "backend": "tensorflow"})
        group = file.create_group("dense")
        group.attrs["weight_names"] = [b"dense/kernel:0", b"dense/bias:0"]
        group["dense/kernel:0"], group["dense/bias:0"] = KERNEL, MEAN


def keras_weights_and_configuration(source: Path) -> None:
    """The same, with what ``to_json`` wrote."""
    keras_weights(source)
    (source / "model.json").write_text(json.dumps(_sequential({"class_name": "Dense", "config": DENSE})))


def keras_lambda(source: Path) -> None:
    """A model with Python code in it."""
    code = {"function": ["4wEAAAA=\n", None, None], "function_type": "lambda"}
    scale = {"name": "scale", "batch_input_shape": [None, 4], **code}
    layers = ({"class_name": "Lambda", "config": scale}, {"class_name": "Dense", "config": DENSE})
    keras_weights(source)
    with h5py.File(source / "weights.h5") as weights, h5py.File(source / "model.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(_sequential(*layers)).encode()
        weights.copy(weights, file, name="model_weights")
    (source / "weights.h5").unlink()


DENSE: Final = {"name": "dense", "units": 3, "batch_input_shape": [None, 4], "activation": "linear"}


def _sequential(*layers: Any) -> Any:
    return {
        "class_name": "Sequential",
        "config": {"name": "model", "layers": list(layers)},
        "keras_version": "2.2.4-tf",
    }
