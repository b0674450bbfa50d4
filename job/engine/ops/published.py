"""The last look at what is published: nothing in it may do what the policy denies, reachable or not."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from job.engine.graph import NodeDef
from job.engine.ops.policy import FILE_OPS, why_denied
from job.engine.reaching import reached_library
from job.errors import BadInput, Refused

SAVER_OPS: Final = ("SaveV2", "MergeV2Checkpoints", "RestoreV2")
"""What TensorFlow's own writer adds, to read the weights beside the model and to write them elsewhere."""


def check_written(directory: str) -> None:
    """Look at a SavedModel as it lies there: whoever wrote it had read a stranger's model before, and may be his.

    Raises `Refused` as `check_published`, and `BadInput` for what is none.
    """
    try:
        written = saved_model_pb2.SavedModel.FromString(Path(directory, "saved_model.pb").read_bytes())
    except (OSError, DecodeError) as error:
        raise BadInput("what the convert stage wrote is no SavedModel", remedy="please report it") from error
    check_published(written)


def check_published(saved_model: saved_model_pb2.SavedModel) -> None:
    """Look at every node of every function of a SavedModel, whether anything calls it or not.

    Checkpoints may be read and written by the saver's functions alone, vocabularies be read by those that fill
    tables. Raises `Refused` for anything else that is denied: the conversion should have left it out.
    """
    for meta_graph in saved_model.meta_graphs:
        expected = {
            *_called(meta_graph, _saver(meta_graph), SAVER_OPS),
            *_called(meta_graph, _filling(meta_graph), FILE_OPS),
        }
        for function, node in _every(meta_graph):
            reason = why_denied(node)
            if reason and (function, node.op) not in expected:
                raise Refused(
                    f"the converted model holds op {node.op} (node {node.name}), which {reason}",
                    where=function or "the graph",
                    remedy="please report it: what no output needs should not be there",
                )


def _every(meta_graph: meta_graph_pb2.MetaGraphDef) -> Iterator[tuple[str, NodeDef]]:
    """Yield all nodes with their function's name, empty for the graph's own."""
    yield from (("", node) for node in meta_graph.graph_def.node)
    for function in meta_graph.graph_def.library.function:
        yield from ((function.signature.name, node) for node in function.node_def)


def _called(
    meta_graph: meta_graph_pb2.MetaGraphDef, callers: Iterable[NodeDef], ops: Iterable[str]
) -> Iterator[tuple[str, str]]:
    """Yield (function, op) for all functions that `callers` can run, and ops that are right in these."""
    reached = reached_library(callers, meta_graph.graph_def.library)
    yield from ((function.signature.name, op) for function in reached.function for op in ops)


def _saver(meta_graph: meta_graph_pb2.MetaGraphDef) -> Iterator[NodeDef]:
    """Yield the nodes that save and restore."""
    saver: Any = meta_graph.saver_def
    names = {saver.save_tensor_name.partition(":")[0], saver.restore_op_name}
    return (node for node in meta_graph.graph_def.node if node.name in names)


def _filling(meta_graph: meta_graph_pb2.MetaGraphDef) -> Iterator[NodeDef]:
    """Yield a call of every function that fills a table when the model is loaded."""
    objects = meta_graph.object_graph_def.nodes
    for one in objects:
        for child in one.children if one.WhichOneof("kind") == "resource" else ():
            if child.local_name == "_initialize":
                yield from (NodeDef(op=name) for name in objects[child.node_id].function.concrete_functions)
