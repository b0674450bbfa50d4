"""Weights that TensorFlow does not see while it traces a model and writes it: the file gets them in the end.

On their way from a graph to a SavedModel it copies constants a dozen times. Placeholders stand in for them: no step
can take what these hold for a weight, and one that was left in a file is none that runs.
"""

from typing import Final
from uuid import uuid4

from tensorflow.core.protobuf import saved_model_pb2

from job.engine.formats.base import MAX_PROTO_BYTES
from job.engine.graph import GraphDef, NodeDef, all_nodes
from job.engine.weightless import hollow, is_weight
from job.errors import Internal, Refused
from job.memory_cap import check_room

FILLED_COPIES: Final = 2
"""So often the whole is held when the constants are put into it: as a message, and as its bytes."""


class Withheld:
    """The constants that have stand-ins in a model which `stage` is about to write."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._constants: list[NodeDef] = []
        # The attribute that numbers a stand-in: TensorFlow keeps what begins so, and no model can have it already.
        self._mark = f"_tf1lift_weight_{uuid4().hex}"

    def stand_in(self, node: NodeDef) -> NodeDef:
        """Return what goes through TensorFlow in place of a constant, which must come out of it again."""
        light = hollow(node)
        light.attr[self._mark].i = len(self._constants)
        self._constants.append(node)
        return light

    def without_weights(self, graph_def: GraphDef) -> GraphDef:
        """Return a copy of a graph with stand-ins for its weights, all of which are needed."""
        light = GraphDef(versions=graph_def.versions, library=graph_def.library)
        light.node.extend(self.stand_in(node) if is_weight(node) else node for node in graph_def.node)
        return light

    def put_into(self, saved_model: saved_model_pb2.SavedModel) -> None:
        """Give a SavedModel, in place, the constants that its stand-ins are for.

        Raises `Refused` where it would be larger than a file can be, `Poison` where that does not fit into memory, and
        `Internal` where a stand-in was lost.
        """
        graph_defs = [meta_graph.graph_def for meta_graph in saved_model.meta_graphs]
        found = [node for graph_def in graph_defs for node in all_nodes(graph_def) if self._mark in node.attr]
        numbers = [node.attr.pop(self._mark).i for node in found]
        self._check(saved_model, numbers)
        for node, number in zip(found, numbers, strict=True):
            constant = self._constants[number]
            node.op = constant.op
            del node.attr["shape"]
            node.attr["value"].CopyFrom(constant.attr["value"])

    def _check(self, saved_model: saved_model_pb2.SavedModel, numbers: list[int]) -> None:
        if lost := sorted(set(range(len(self._constants))) - set(numbers)):
            names = ", ".join(self._constants[number].name for number in lost[:3])
            raise Internal(f"{len(lost)} weights were lost on the way to the file: {names}", remedy="please report it")
        size_bytes = saved_model.ByteSize() + sum(self._constants[number].ByteSize() for number in numbers)
        if size_bytes > MAX_PROTO_BYTES:
            what = f"with its constants saved_model.pb would have {size_bytes / 2**30:.1f} GiB, and it can have 2"
            raise Refused(what, remedy="convert its checkpoint instead, or fewer of its signatures at a time")
        if numbers:
            check_room(
                self._stage, FILLED_COPIES * size_bytes, "the file with its constants, and the same as bytes, take"
            )
