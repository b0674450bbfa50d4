"""Write a session's graph as TensorFlow 1 programs did: SavedModel, checkpoint with its graph, frozen GraphDef."""

from __future__ import annotations  # Python 3.7 runs this

from pathlib import Path
from typing import Any

import tensorflow.compat.v1 as tf  # noqa: TID253 - it is TensorFlow that writes them
from google.protobuf import text_format

GONE = "/data/models/run-7"
"""What ``checkpoint`` files name: the directory of a machine that no longer exists."""


def started() -> Any:
    """Return a session over the default graph with every variable and table initialised."""
    session = tf.Session(config=on_one_thread())
    session.run([tf.global_variables_initializer(), tf.tables_initializer()])
    return session


def on_one_thread() -> Any:
    """Return a configuration that sums in the same order each time; two CPU devices, for sharding."""
    return tf.ConfigProto(device_count={"CPU": 2}, intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)


def signature(inputs: list[str], outputs: list[str], **renamed: str) -> Any:
    """Return a predict signature over ops by name; `renamed` maps an op to another argument name."""
    graph = tf.get_default_graph()

    def infos(names: list[str]) -> dict[str, Any]:
        tensors = {renamed.get(name, name): graph.get_tensor_by_name(name + ":0") for name in names}
        return {key: tf.saved_model.utils.build_tensor_info(tensor) for key, tensor in tensors.items()}

    return tf.saved_model.signature_def_utils.build_signature_def(
        infos(inputs), infos(outputs), tf.saved_model.signature_constants.PREDICT_METHOD_NAME
    )


def save_model(
    session: Any, folder: Path, signatures: dict[str, Any], *, as_text: bool = False, main_op: Any = None
) -> None:
    """Write a SavedModel with the tag ``serve``, its assets, and what it runs at its start: by default, fill tables."""
    builder = tf.saved_model.Builder(str(folder))
    builder.add_meta_graph_and_variables(
        session,
        [tf.saved_model.tag_constants.SERVING],
        signature_def_map=signatures,
        assets_collection=tf.get_collection(tf.GraphKeys.ASSET_FILEPATHS),
        main_op=tf.tables_initializer() if main_op is None else main_op,
        strip_default_attrs=True,
    )
    write_built(builder, folder / ("saved_model.pbtxt" if as_text else "saved_model.pb"))


def write_built(builder: Any, path: Path) -> None:
    """Write what a SavedModel's builder was given, in place of ``builder.save()``, which orders maps at random."""
    write(builder._saved_model, path)


def save_checkpoint(
    session: Any, folder: Path, *, step: int = 0, sharded: bool = False, names: Any = None, write_version: int = 2
) -> str:
    """Write ``model.ckpt-<step>`` with its ``.meta``, and a ``checkpoint`` file whose paths are gone.

    `names` maps the stored names to variables where they are not the variables' own.
    Returns the prefix, relative to `folder`.
    """
    prefix = f"model.ckpt-{step}"
    saver = tf.train.Saver(names, sharded=sharded, write_version=write_version)
    saver.save(session, str(folder / prefix), write_state=False, write_meta_graph=False)
    write(saver.export_meta_graph(strip_default_attrs=True), folder / f"{prefix}.meta")
    paths = (f'{key}: "{GONE}/{prefix}"\n' for key in ("model_checkpoint_path", "all_model_checkpoint_paths"))
    (folder / "checkpoint").write_text("".join(paths))
    return prefix


def freeze(session: Any, path: Path, outputs: list[str]) -> None:
    """Write the part of the graph that `outputs` need, variables made constants; text where `path` ends so."""
    write(tf.graph_util.convert_variables_to_constants(session, session.graph_def, outputs), path)


def write(message: Any, path: Path) -> None:
    """Write a protocol buffer, equal content as equal bytes, as text where the name ends in ``.pbtxt``."""
    if path.suffix == ".pbtxt":
        path.write_text(text_format.MessageToString(message))
    else:
        path.write_bytes(message.SerializeToString(deterministic=True))
