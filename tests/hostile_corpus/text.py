"""Graphs as text, written by hand: no TensorFlow is needed to make what shall harm it."""

from collections.abc import Iterable
from typing import Final

FLOAT: Final = "type: DT_FLOAT"
INPUT: Final = 'node { name: "x" op: "Placeholder" attr { key: "dtype" value { type: DT_FLOAT } } }\n'
OUTPUT: Final = 'node { name: "y" op: "Neg" input: "x" %s attr { key: "T" value { type: DT_FLOAT } } }\n'
VERSIONS: Final = "versions { producer: 134 }\n"


def node(name: str, op: str, *inputs: str, **attributes: str) -> str:
    """Return a node; an attribute is what stands in its ``AttrValue``."""
    fed = "".join(f" input: {quoted(one)}" for one in inputs)
    said = "".join(f" attr {{ key: {quoted(key)} value {{ {value} }} }}" for key, value in attributes.items())
    return f"node {{ name: {quoted(name)} op: {quoted(op)}{fed}{said} }}\n"


def quoted(text: str) -> str:
    """Return a text as a protocol buffer's text form has it."""
    return '"' + "".join(f"\\{byte:03o}" if byte < 32 or byte in b'"\\' else chr(byte) for byte in text.encode()) + '"'


def shape(*dims: int) -> str:
    """Return what stands in a ``TensorShapeProto``."""
    return " ".join(f"dim {{ size: {dim} }}" for dim in dims)


def constant(name: str, dtype: str, values: str, dims: Iterable[int] = ()) -> str:
    """Return a Const; `values` as in ``TensorProto``, which may hold fewer than its shape says."""
    held = f"tensor {{ dtype: {dtype} tensor_shape {{ {shape(*dims)} }} {values} }}"
    return node(name, "Const", dtype=f"type: {dtype}", value=held)


def text(name: str, *values: str, dims: Iterable[int] = ()) -> str:
    """Return a Const of strings."""
    return constant(name, "DT_STRING", " ".join(f"string_val: {quoted(value)}" for value in values), dims)


def whole(name: str, *values: int, dims: Iterable[int] = ()) -> str:
    """Return a Const of 64-bit numbers."""
    return constant(name, "DT_INT64", " ".join(f"int64_val: {value}" for value in values), dims)


def after(*names: str) -> str:
    """Return a model that computes ``-x``, and that some nodes must have run for."""
    return INPUT + OUTPUT % " ".join(f'input: "^{name}"' for name in names)


def function(name: str, body: str, result: str) -> str:
    """Return a function from one number to one; `body` are nodes, whose first input is called ``x``."""
    signature = (
        f"signature {{ name: {quoted(name)} input_arg {{ name: 'x' type: DT_FLOAT }} "
        "output_arg { name: 'y' type: DT_FLOAT } }"
    )
    body = body.replace("node {", "node_def {")
    return f"function {{ {signature} {body} ret {{ key: 'y' value: {quoted(result)} }} }}\n"


def library(*functions: str) -> str:
    """Return a graph's functions."""
    return f"library {{ {''.join(functions)} }}\n"


def calling(name: str) -> str:
    """Return a model that computes what a function does."""
    return INPUT + node("y", name, "x") + VERSIONS
