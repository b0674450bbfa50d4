"""The tensors, types and shapes that a node's attributes hold."""

from collections.abc import Iterator
from typing import Any, Final

from tensorflow.core.framework import tensor_pb2, types_pb2

from job.engine.scanning.sizes import DAMAGED, check_claim, check_type, dims_of, element_count, item_bytes
from job.errors import BadInput

LISTS: Final = ("type", "shape", "tensor", "func")
"""What a list may hold that is looked at; numbers and texts are what they are."""


def check_attributes(attributes: Any, whose: str, where: str) -> int:
    """Check a map of ``AttrValue``; returns the bytes that its tensors declare.

    Raises `BadInput` for what no TensorFlow can have written, `Refused` for bombs.
    """
    return sum(
        _check(kind, value, f"{name} of {whose}", where)
        for name, attribute in attributes.items()
        for kind, value in _held(attribute)
    )


def _held(attribute: Any) -> Iterator[tuple[str, Any]]:
    kind = attribute.WhichOneof("value")
    if kind == "list":
        for one in LISTS:
            for value in getattr(attribute.list, one):
                yield one, value
    elif kind in LISTS:
        yield kind, getattr(attribute, kind)


def _check(kind: str, value: Any, whose: str, where: str) -> int:
    if kind == "tensor":
        return check_tensor(value, whose, where)
    if kind == "func":
        return check_attributes(value.attr, whose, where)
    if kind == "shape":
        element_count(dims_of(value), whose, where, may_be_open=True)
    else:
        check_type(value, whose, where)
    return 0


def check_tensor(tensor: tensor_pb2.TensorProto, whose: str, where: str) -> int:
    """Return the bytes that a tensor declares; raises as `check_attributes`."""
    each = item_bytes(tensor.dtype, whose, where)
    declared = element_count(dims_of(tensor.tensor_shape), whose, where) * each
    content = len(tensor.tensor_content)
    if content and tensor.dtype != types_pb2.DT_STRING and content != declared:
        what = f"{whose} declares {declared} bytes and stores {content}"
        raise BadInput(what, where=where, remedy=DAMAGED)
    check_claim(declared, tensor.ByteSize(), whose, where)
    return declared
