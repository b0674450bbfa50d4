"""TF1's references become TF2's resources: one pass over a pruned GraphDef.

Reference variables (``VariableV2``) and reference tables (``HashTable``) are handed around as
pointers to their value, which TF2 neither tracks nor saves. Here each turns into a resource
handle that the importer feeds, and every op on it into its resource form.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from job.engine.graph import Edge, Graph, NodeDef, attribute, reference_inputs
from job.engine.state.checkpoint import VARIABLE_OPS
from job.engine.state.tables import FILLING_OPS, TABLE_OPS
from job.errors import BadInput

HANDLE: Final = "resource_handle"

VALUE_OPS: Final = {
    "RefIdentity": "Identity",
    "RefSwitch": "Switch",
    "RefMerge": "Merge",
    "RefEnter": "Enter",
    "RefExit": "Exit",
    "RefNextIteration": "NextIteration",
}
"""Control flow that carries a reference, and its form that carries the value."""

HANDING_OPS: Final = ("RefIdentity", "RefSwitch")
"""Those behind which it is still known which variable is referred to, and when it is read."""

WRITE_OPS: Final = {
    "Assign": "AssignVariableOp",
    "AssignAdd": "AssignAddVariableOp",
    "AssignSub": "AssignSubVariableOp",
    **{
        f"Scatter{kind}": f"ResourceScatter{kind}"
        for kind in ("Add", "Sub", "Mul", "Div", "Min", "Max", "Update", "NdAdd", "NdSub", "NdUpdate", "NdMin", "NdMax")
    },
}
"""Ops that change a reference variable; each returns the reference, that is the new value."""

TABLE_USE_OPS: Final = {
    "LookupTableFind": "LookupTableFindV2",
    "LookupTableSize": "LookupTableSizeV2",
    "LookupTableExport": "LookupTableExportV2",
    "LookupTableInsert": "LookupTableInsertV2",
    **FILLING_OPS,
}

PRINT_OPS: Final = ("Print",)


def to_resources(graph_def: graph_pb2.GraphDef) -> tuple[graph_pb2.GraphDef, dict[str, str]]:
    """Return the rewritten GraphDef and the tensors to feed with handles, by variable or table name.

    Raises `BadInput` for a use of a reference that has no resource form.
    """
    graph = Graph(graph_def)
    rewriter = _Rewriter(graph)
    rewritten = graph_pb2.GraphDef(versions=graph_def.versions, library=graph_def.library)
    for node in graph_def.node:
        rewritten.node.extend(rewriter.rewrite(node))
    return rewritten, rewriter.handles


class _Rewriter:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.handles: dict[str, str] = {}
        self.references = {node.name: node for node in graph.of_type("VariableV2", "Variable")}
        self.written = {self._target(node) for node in graph.of_type(*WRITE_OPS)}

    def rewrite(self, node: NodeDef) -> list[NodeDef]:
        """Return what takes a node's place."""
        for matches, act in self._rules():
            if matches(node):
                return act(node)
        return self._use(node)

    def _rules(self) -> tuple[tuple[Callable[[NodeDef], bool], Callable[[NodeDef], list[NodeDef]]], ...]:
        return (
            (lambda node: node.name in self.references, self._variable),
            (lambda node: node.op in VARIABLE_OPS or node.op in TABLE_OPS, self._handle),
            (lambda node: node.op in WRITE_OPS, self._write),
            (lambda node: node.op == "IsVariableInitialized", self._initialized),
            (lambda node: node.op in PRINT_OPS, self._silent),
            (lambda node: node.op == "PrintV2", self._nothing),
            (lambda node: node.op in TABLE_USE_OPS, lambda node: [_with_op(node, TABLE_USE_OPS[node.op])]),
            (self._carries_table, self._carry_handle),
        )

    def _variable(self, node: NodeDef) -> list[NodeDef]:
        """A variable that nothing writes is read once, under its own name."""
        self.handles[node.name] = f"{node.name}/{HANDLE}:0"
        return [] if node.name in self.written else [self._read(node.name, node.name, [])]

    def _handle(self, node: NodeDef) -> list[NodeDef]:
        self.handles[node.name] = f"{node.name}:0"
        return []

    def _write(self, node: NodeDef) -> list[NodeDef]:
        """Write, then read: whoever took the reference takes the new value."""
        variable = self._target(node)
        if self.graph.inputs(node.name)[0].node != variable and self._crosses_loop(node):
            raise BadInput(
                f"{node.name} writes variable {variable} inside a loop", remedy="export the inference graph without it"
            )
        write = _with_op(self._use(node)[-1], WRITE_OPS[node.op])
        write.name = f"{node.name}/write"
        write.input[0] = self.handles.setdefault(variable, f"{variable}/{HANDLE}:0")
        before = self._written_before(node)
        write.input.extend([f"^{before.name}"] if before else [])
        _keep_attributes(
            write, ("T", "Tindices") if node.op.startswith("ScatterNd") else ("dtype", "Tindices"), T=("T", "dtype")
        )
        return [*self._use(node)[:-1], write, self._read(node.name, variable, [f"^{write.name}"])]

    def _initialized(self, node: NodeDef) -> list[NodeDef]:
        """Every variable of a SavedModel has its value."""
        const = NodeDef(name=node.name, op="Const")
        const.attr["dtype"].type = tf.bool.as_datatype_enum
        const.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(np.array(True)))
        return [const]

    def _silent(self, node: NodeDef) -> list[NodeDef]:
        """``Print`` hands its first input on."""
        identity = _with_op(node, "Identity")
        del identity.input[:]
        identity.input.extend([node.input[0], *(text for text in node.input if text.startswith("^"))])
        _keep_attributes(identity, ("T",))
        return [identity]

    def _nothing(self, node: NodeDef) -> list[NodeDef]:
        """``PrintV2`` has no output: others wait for it at most."""
        return [NodeDef(name=node.name, op="NoOp", input=[text for text in node.input if text.startswith("^")])]

    def _carries_table(self, node: NodeDef) -> bool:
        if node.op not in (*VALUE_OPS, *VALUE_OPS.values()):
            return False
        inputs = self.graph.inputs(node.name)
        return bool(inputs) and self._is(self.graph.source_of(inputs[0]), tuple(TABLE_OPS))

    def _carry_handle(self, node: NodeDef) -> list[NodeDef]:
        carried = _with_op(node, VALUE_OPS.get(node.op, node.op))
        carried.attr["T"].type = tf.resource.as_datatype_enum
        return [carried]

    def _use(self, node: NodeDef) -> list[NodeDef]:
        """Give a node the values of the references that it takes, each read where it is used."""
        taken = reference_inputs(node) if node.op not in VALUE_OPS and node.op not in WRITE_OPS else set()
        for index in taken:
            if self._is(self.graph.source_of(self.graph.inputs(node.name)[index]), ("VariableV2", "Variable")):
                raise BadInput(f"op {node.op} (node {node.name}) changes a variable in a way that TF2 has no form for")
        use, reads = _with_op(node, VALUE_OPS.get(node.op, node.op)), list[NodeDef]()
        for index, edge in enumerate(self.graph.inputs(node.name)):
            if self._is_read(node, index, edge):
                reads += self._read_behind(node, index, edge)
                use.input[index] = reads[-1].name
        return [*reads, use]

    def _is_read(self, node: NodeDef, index: int, edge: Edge) -> bool:
        """Whether a node's input is the value, at that moment, of a variable that something writes."""
        if self._referred(edge) not in self.written or (index == 0 and node.op in WRITE_OPS):
            return False
        if node.op in VALUE_OPS and node.op not in HANDING_OPS:
            raise BadInput(
                f"{node.name} ({node.op}) carries a reference to variable {self._referred(edge)}, which is written",
                remedy="export the inference graph without the write",
            )
        return edge.node in self.written or node.op not in HANDING_OPS

    def _read_behind(self, node: NodeDef, index: int, edge: Edge) -> list[NodeDef]:
        """Read where the value is used; behind a switch only if its branch is taken, which a control input tells."""
        name, controls = f"{node.name}/read_{index}", self._awaited(node)
        if edge.node in self.written:
            return [self._read(name, edge.node, controls)]
        taken = NodeDef(name=f"{name}/taken", op="Identity", input=[node.input[index]])
        taken.attr["T"].type = self.graph.nodes[self._referred(edge)].attr["dtype"].type
        return [taken, self._read(name, self._referred(edge), [f"^{taken.name}", *controls])]

    def _awaited(self, node: NodeDef) -> list[str]:
        """Return, as control inputs, all that a node waits for: an op looks at its references when it runs."""
        beside = {edge.node for edge in self.graph.inputs(node.name)} if node.op != "Merge" else set[str]()
        there = [name for name in sorted(beside) if name in self.graph.nodes and not self._is_fed(name)]
        given = [text for text in node.input if text.startswith("^")]
        return list(dict.fromkeys([*given, *(f"^{name}" for name in there)]))

    def _is_fed(self, name: str) -> bool:
        return self.graph.nodes[name].op in (*VARIABLE_OPS, *TABLE_OPS)

    def _referred(self, edge: Edge) -> str:
        """Return the node that a reference comes from."""
        return self.graph.source_of(edge, through=HANDING_OPS).node

    def _read(self, name: str, variable: str, controls: list[str]) -> NodeDef:
        handle = self.handles.setdefault(variable, f"{variable}/{HANDLE}:0")
        read = NodeDef(name=name, op="ReadVariableOp", input=[handle, *controls])
        read.attr["dtype"].type = self.graph.nodes[variable].attr["dtype"].type
        return read

    def _target(self, node: NodeDef) -> str:
        """Return the variable that a node writes, itself or what another write hands on."""
        before = self._written_before(node)
        return self._target(before) if before else self.graph.source_of(self.graph.inputs(node.name)[0]).node

    def _written_before(self, node: NodeDef) -> NodeDef | None:
        """Return the write whose reference a node takes, if it is one's."""
        source = self.graph.nodes.get(self.graph.source_of(self.graph.inputs(node.name)[0]).node)
        return source if source is not None and source.op in WRITE_OPS else None

    def _crosses_loop(self, node: NodeDef) -> bool:
        edge = self.graph.inputs(node.name)[0]
        while self.graph.nodes[edge.node].op not in VARIABLE_OPS:
            if self.graph.nodes[edge.node].op in ("Enter", "RefEnter"):
                return True
            edge = self.graph.inputs(edge.node)[0]
        return False

    def _is(self, edge: Edge, ops: tuple[str, ...]) -> bool:
        return edge.node in self.graph.nodes and self.graph.nodes[edge.node].op in ops


def _with_op(node: NodeDef, op: str) -> NodeDef:
    copy = NodeDef()
    copy.CopyFrom(node)
    copy.op = op
    return copy


def _keep_attributes(node: NodeDef, names: tuple[str, ...], **renamed: tuple[str, ...]) -> None:
    """Drop the attributes that the new op does not know, after giving old ones their new names."""
    for old, new in renamed.items():
        for name in new:
            node.attr[name].CopyFrom(attribute(node, old))
    for name in [name for name in node.attr if name not in names]:
        del node.attr[name]
