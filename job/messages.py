"""The shapes by which TensorFlow's messages are told apart, and ONNX's from them."""

import re
import sys
from itertools import islice
from typing import Final

from job.wire import Walk, is_message, text_of, walk

_OP: Final = re.compile(r"[A-Za-z0-9_][\w.>/\\-]*", re.ASCII)

_NODES_KEPT: Final = 16  # that so many nodes have the same names and ops in two files is no chance
_TEXT_NODE: Final = re.compile(rb'node\s*:?\s*[{<]\s*name\s*:\s*"([^"]*)"\s*op\s*:\s*"([^"]*)"')
_VARIABLE: Final = re.compile(
    rb'\x12(?:\x08Variable|\x0aVariableV2|\x0bVarHandleOp)|\bop\s*:\s*"(?:Variable|VariableV2|VarHandleOp)"'
)
"""The op of a variable's node: NodeDef{2: op} in bytes, and in text."""


def is_saved_model(seen: Walk) -> bool:
    """SavedModel{1: schema version, 2: MetaGraphDef}."""
    return any(field.number == 2 and is_message(field, is_meta_graph) for field in seen.fields[:2])


def is_meta_graph(seen: Walk) -> bool:
    """MetaGraphDef{1: MetaInfoDef, 2: GraphDef … 7}."""
    return _has_only(seen, 7) and any(
        (field.number == 1 and is_message(field, _is_meta_info))
        or (field.number == 2 and is_message(field, is_graph_def))
        for field in seen.fields[:2]
    )


def _is_meta_info(seen: Walk) -> bool:
    """MetaInfoDef{2: OpList, 4: tag, 5: TensorFlow's version … 8}, unless it is a NodeDef."""
    return (
        _has_only(seen, 8)
        and not _is_node(seen)
        and any(
            (field.number == 2 and is_message(field, _is_op_list)) or (field.number in (4, 5) and text_of(field) != "")
            for field in seen.fields
        )
    )


def _is_op_list(seen: Walk) -> bool:
    """OpList{1: OpDef{1: name}}, and FunctionDef{1: OpDef{1: name}} as well."""
    return any(field.number == 1 and is_message(field, _is_op) for field in seen.fields[:1])


def _is_op(seen: Walk) -> bool:
    return any(field.number == 1 and _OP.fullmatch(text_of(field)) is not None for field in seen.fields[:1])


def is_graph_def(seen: Walk) -> bool:
    """GraphDef{1: NodeDef, 2: FunctionDefLibrary, 3: old version, 4: VersionDef}, in any order."""
    nodes = [field for field in seen.fields if field.number == 1]
    if nodes:
        return is_message(nodes[0], _is_node)
    return _has_only(seen, 4) and any(
        (field.number == 2 and is_message(field, _is_library))
        or (field.number == 4 and not field.is_cut and is_message(field, _is_versions))
        for field in seen.fields
    )


def _is_node(seen: Walk) -> bool:
    """NodeDef{1: name, 2: op … 7}: no graph's node is without the two."""
    texts = {field.number: text_of(field) for field in reversed(seen.fields)}
    return _has_only(seen, 7) and texts.get(1, "") != "" and _OP.fullmatch(texts.get(2, "")) is not None


def first_nodes(seen: Walk) -> tuple[str, ...]:
    """Return the first whole nodes of a GraphDef, each as ``name op``."""
    bodies = (field.body for field in seen.fields if field.number == 1 and not field.is_cut)
    texts = ({part.number: text_of(part) for part in walk(body).fields[:2]} for body in islice(bodies, _NODES_KEPT))
    return tuple(sys.intern(f"{text.get(1, '')} {text.get(2, '')}") for text in texts)


def first_nodes_of_text(head: bytes) -> tuple[str, ...]:
    """Return the first nodes of a GraphDef as text, each as ``name op``."""
    found = islice(_TEXT_NODE.finditer(head), _NODES_KEPT)
    return tuple(f"{match[1].decode('utf-8', 'replace')} {match[2].decode('utf-8', 'replace')}" for match in found)


def has_variables(head: bytes) -> bool:
    """Tell whether some node of a GraphDef, binary or text, is a variable."""
    return _VARIABLE.search(head) is not None


def _is_library(seen: Walk) -> bool:
    """FunctionDefLibrary{1: FunctionDef}."""
    return any(field.number == 1 and is_message(field, _is_op_list) for field in seen.fields[:1])


def _is_versions(seen: Walk) -> bool:
    """VersionDef{1: producer, 2: min_consumer, 3: bad_consumers}."""
    return bool(seen.fields) and _has_only(seen, 3)


def is_onnx(seen: Walk) -> bool:
    """ModelProto{1: ir_version, 2: producer_name, 7: graph, 8: opset_import … 25}."""
    if not _has_only(seen, 25) or not any(field.number == 1 and 0 < field.value < 1000 for field in seen.fields[:1]):
        return False
    parts = [field for field in seen.fields[1:] if field.is_bytes]
    return any(field.number in (7, 8) or (field.number == 2 and text_of(field) != "") for field in parts)


def _has_only(seen: Walk, highest: int) -> bool:
    return seen.is_valid and all(field.number <= highest for field in seen.fields)
