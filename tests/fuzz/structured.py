"""Damage that still parses: graphs with other ops, edges and shapes, and checkpoints whose checksums are right."""

import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from random import Random
from typing import Any, Final

from google.protobuf.message import DecodeError, Message
from tensorflow.core.framework import graph_pb2, op_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2
from tensorflow.python.client import pywrap_tf_session

from tests.fuzz.bytewise import INTERESTING, flip_bits, varint_of, word
from tests.fuzz.crc32c import masked_crc32c

_FOOTER_BYTES: Final = 48  # two block handles, padding and a magic number (leveldb's table_format.md)
_TRAILER_BYTES: Final = 5  # the kind of compression and a checksum, behind each block

OPS: Final = (
    "Abort",
    "Add",
    "AddN",
    "Assert",
    "Assign",
    "BatchMatMulV2",
    "Cast",
    "ConcatV2",
    "Const",
    "Conv2D",
    "Fill",
    "Gather",
    "HashTableV2",
    "Identity",
    "If",
    "ImmutableConst",
    "MatMul",
    "Merge",
    "NextIteration",
    "NoOp",
    "Pad",
    "Placeholder",
    "PyFunc",
    "ReadFile",
    "Reshape",
    "RestoreV2",
    "SaveV2",
    "Slice",
    "StatefulPartitionedCall",
    "StridedSlice",
    "Switch",
    "Tile",
    "TensorListReserve",
    "VarHandleOp",
    "VariableV2",
    "While",
    "WriteFile",
    "Where",
    "ZerosLike",
)
"""Ops that touch the host, that take much memory, and some that everything holds."""


def change_graph(data: bytes, chance: Random) -> bytes:
    """Change one to three things in a graph or in a function of it."""
    message = _parsed(data)
    if message is None:
        return flip_bits(data, chance)
    graph = _graph_of(message)
    for _ in range(chance.choice((1, 1, 2, 3))):
        bodies = [graph.node, *(function.node_def for function in graph.library.function)]
        nodes = chance.choice([body for body in bodies if len(body)] or [graph.node])
        chance.choice(CHANGES)(graph, nodes, chance) if len(nodes) else _header(graph, nodes, chance)
    return bytes(message.SerializeToString())


def _op(_: Any, nodes: Any, chance: Random) -> None:
    other = chance.choice(OPS) if chance.random() < 0.5 else chance.choice(_registered())
    chance.choice(nodes).op = other


def _edge(_: Any, nodes: Any, chance: Random) -> None:
    node, other = chance.choice(nodes), chance.choice(nodes)
    target = chance.choice((other.name, f"{other.name}:{chance.choice((1, 7, 2**31))}", f"^{other.name}", "nobody", ""))
    if node.input and chance.random() < 0.7:
        node.input[chance.randrange(len(node.input))] = target
    else:
        node.input.append(target)


def _lose_edge(_: Any, nodes: Any, chance: Random) -> None:
    node = chance.choice(nodes)
    if node.input:
        del node.input[chance.randrange(len(node.input))]


def _name(_: Any, nodes: Any, chance: Random) -> None:
    chance.choice(nodes).name = chance.choice(
        (chance.choice(nodes).name, "", "a" * 5000, "../x", "^x", "x:0", "\u2028")
    )


def _lose_attribute(_: Any, nodes: Any, chance: Random) -> None:
    node = chance.choice(nodes)
    if node.attr:
        del node.attr[chance.choice(sorted(node.attr))]


def _attribute(_: Any, nodes: Any, chance: Random) -> None:
    """Give a node's attribute the value of another node's."""
    node, other = chance.choice(nodes), chance.choice(nodes)
    if node.attr and other.attr:
        node.attr[chance.choice(sorted(node.attr))].CopyFrom(other.attr[chance.choice(sorted(other.attr))])


def _number(_: Any, nodes: Any, chance: Random) -> None:
    """Put an interesting number into a dimension, an integer or a type."""
    places = list(_numbers([value for node in nodes for value in node.attr.values()]))
    if places:
        message, field, index = chance.choice(places)
        value = chance.choice(INTERESTING)
        value = value if field not in {"type", "dtype"} else chance.choice((0, 1, 3, 7, 9, 20, 21, 101, 999))
        with suppress(ValueError):  # a number that the field cannot hold
            if index is None:
                setattr(message, field, value)
            else:
                getattr(message, field)[index] = value


def _content(_: Any, nodes: Any, chance: Random) -> None:
    """Change the stored bytes of a constant, or how many there are."""
    constants = [node.attr["value"].tensor for node in nodes if node.op == "Const"]
    if constants:
        tensor = chance.choice(constants)
        stored = tensor.tensor_content
        tensor.tensor_content = chance.choice((stored[:-1], stored * 2, b"", b"\xff" * 64))


def _twin(_: Any, nodes: Any, chance: Random) -> None:
    nodes.add().CopyFrom(chance.choice(nodes))


def _lose_node(_: Any, nodes: Any, chance: Random) -> None:
    del nodes[chance.randrange(len(nodes))]


def _call(graph: Any, nodes: Any, chance: Random) -> None:
    """Let a node call a function, perhaps the one that it is in."""
    functions = [function.signature.name for function in graph.library.function] or ["nobody"]
    node = chance.choice(nodes)
    node.op = chance.choice((chance.choice(functions), "PartitionedCall", "StatefulPartitionedCall", "While"))
    node.attr["f"].func.name = chance.choice(functions)


def _header(graph: Any, _: Any, chance: Random) -> None:
    graph.versions.producer = chance.choice((0, 1, 9999))
    graph.versions.min_consumer = chance.choice((0, 1, 9999))


CHANGES: Final[tuple[Callable[[Any, Any, Random], None], ...]] = (
    *(_op, _edge, _lose_edge, _name, _lose_attribute, _attribute, _number, _number),
    *(_content, _twin, _lose_node, _call, _header),
)


def change_table(data: bytes, chance: Random) -> bytes:
    """Change an entry of a checkpoint's index and give its block the checksum that fits."""
    try:
        offset, size = _first_block(data)
    except (IndexError, struct.error):
        return flip_bits(data, chance)
    if size < 2 or offset + size + _TRAILER_BYTES > len(data):
        return flip_bits(data, chance)
    block = data[offset : offset + size]
    change = chance.choice((flip_bits, _same_length, word))
    block = change(block, chance)[:size].ljust(size, b"\0")  # the handles that point to it still hold
    kind = data[offset + size : offset + size + 1]
    return data[:offset] + block + kind + struct.pack("<I", masked_crc32c(block + kind)) + data[offset + size + 5 :]


def _same_length(block: bytes, chance: Random) -> bytes:
    start, number = chance.randrange(len(block)), varint_of(chance.choice(INTERESTING))
    return (block[:start] + number + block[start + len(number) :])[: len(block)]


def _first_block(data: bytes) -> tuple[int, int]:
    """Return where the first block of entries lies in a sorted table."""
    footer = data[-_FOOTER_BYTES:]
    _, position = _varint(footer, 0)
    _, position = _varint(footer, position)
    index_offset, position = _varint(footer, position)
    index_size, _ = _varint(footer, position)
    index = data[index_offset : index_offset + index_size]
    _, position = _varint(index, 0)  # shared bytes of the key, its own, and the value's
    unshared, position = _varint(index, position)
    _, position = _varint(index, position)
    offset, position = _varint(index, position + unshared)
    return offset, _varint(index, position)[0]


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        value, shift, position = value | (byte & 0x7F) << shift, shift + 7, position + 1
        if byte < 0x80:
            return value, position


def _parsed(data: bytes) -> "Message | None":
    for kind in (saved_model_pb2.SavedModel, meta_graph_pb2.MetaGraphDef, graph_pb2.GraphDef):
        message = kind()
        try:
            message.ParseFromString(data)
        except DecodeError:
            continue
        if _graph_of(message) is not None and len(_graph_of(message).node):
            return message
    return None


def _graph_of(message: Any) -> Any:
    if isinstance(message, saved_model_pb2.SavedModel):
        return message.meta_graphs[0].graph_def if message.meta_graphs else None
    return message.graph_def if isinstance(message, meta_graph_pb2.MetaGraphDef) else message


def _numbers(messages: list[Any]) -> Iterator[tuple[Any, str, "int | None"]]:
    """Yield every integer or type below some messages: where it is, its field, and its place in a list."""
    for message in messages:
        for field, value in message.ListFields():
            if field.type == field.TYPE_MESSAGE:
                yield from _numbers(list(value) if field.is_repeated else [value])
            elif field.cpp_type in (field.CPPTYPE_INT64, field.CPPTYPE_INT32, field.CPPTYPE_ENUM):
                if field.is_repeated:
                    yield from ((message, field.name, index) for index in range(len(value)))
                else:
                    yield message, field.name, None


@cache
def _registered() -> tuple[str, ...]:
    listed = op_def_pb2.OpList.FromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
    return tuple(sorted(op.name for op in listed.op))


STRUCTURED: Final[Mapping[str, Callable[[bytes, Random], bytes]]] = {
    "change_graph": change_graph,
    "change_table": change_table,
}
