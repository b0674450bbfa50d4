"""Weights that TensorFlow does not see while it traces a model and writes it: the file gets them in the end.

On their way from a graph to a SavedModel it copies constants a dozen times, and no step of it reads their values.
"""

from collections.abc import Mapping
from uuid import uuid4

from tensorflow.core.protobuf import saved_model_pb2

from job.engine.formats.base import MAX_PROTO_BYTES
from job.engine.graph import GraphDef, NodeDef, all_nodes
from job.engine.weightless import is_weight
from job.errors import Internal, Refused


class Withheld:
    """The constants of a model that have stand-ins: zeros of the same type and shape, which take no room."""

    def __init__(self) -> None:
        self._constants: list[NodeDef] = []
        # The attribute that numbers a stand-in: TensorFlow keeps what begins so, and no model can have it already.
        self._mark = f"_tf1lift_weight_{uuid4().hex}"

    def __len__(self) -> int:
        return len(self._constants)

    def without_weights(self, graph_def: GraphDef) -> GraphDef:
        """Return a copy of a graph with stand-ins for its weights."""
        light = GraphDef(versions=graph_def.versions, library=graph_def.library)
        light.node.extend(self._stand_in(node) if is_weight(node) else node for node in graph_def.node)
        return light

    def stand_ins(self, weights: Mapping[str, NodeDef]) -> dict[str, NodeDef]:
        """Return what goes through TensorFlow in place of each constant."""
        return {name: self._stand_in(node) for name, node in weights.items()}

    def _stand_in(self, node: NodeDef) -> NodeDef:
        light = NodeDef(name=node.name, op=node.op, device=node.device)
        light.attr["dtype"].CopyFrom(node.attr["dtype"])
        light.attr["value"].tensor.dtype = node.attr["value"].tensor.dtype
        light.attr["value"].tensor.tensor_shape.CopyFrom(node.attr["value"].tensor.tensor_shape)
        light.attr[self._mark].i = len(self._constants)
        self._constants.append(node)
        return light

    def put_into(self, saved_model: saved_model_pb2.SavedModel) -> None:
        """Give a SavedModel, in place, the values that its stand-ins are for.

        Raises `Refused` where it would be larger than a file can be, and `Internal` where a stand-in was lost.
        """
        graph_defs = [meta_graph.graph_def for meta_graph in saved_model.meta_graphs]
        found = [node for graph_def in graph_defs for node in all_nodes(graph_def) if self._mark in node.attr]
        self._check(saved_model, found)
        for node in found:
            node.attr["value"].CopyFrom(self._constants[node.attr.pop(self._mark).i].attr["value"])

    def _check(self, saved_model: saved_model_pb2.SavedModel, found: list[NodeDef]) -> None:
        numbers = [node.attr[self._mark].i for node in found]
        if lost := set(range(len(self))) - set(numbers):
            names = ", ".join(sorted(self._constants[number].name for number in lost)[:3])
            raise Internal(f"{len(lost)} weights were lost on the way to the file: {names}", remedy="please report it")
        size_bytes = saved_model.ByteSize() + sum(self._constants[number].ByteSize() for number in numbers)
        if size_bytes > MAX_PROTO_BYTES:
            what = f"with its constants saved_model.pb would have {size_bytes / 2**30:.1f} GiB, and it can have 2"
            raise Refused(what, remedy="convert its checkpoint instead, or fewer of its signatures at a time")
