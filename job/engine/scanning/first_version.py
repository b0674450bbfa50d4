"""A checkpoint of TensorFlow's first format: one table with a record of all tensors, and their values as messages."""

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf import message
from tensorflow.core.framework import types_pb2
from tensorflow.core.util import saved_tensor_slice_pb2

from job.engine.scanning.sizes import DAMAGED, dims_of, element_count, item_bytes
from job.engine.scanning.slices import extents_of, slice_dims, slice_key
from job.engine.scanning.tables import entries
from job.errors import BadInput, LocalIOError

_PAIRS = (types_pb2.DT_COMPLEX64, types_pb2.DT_COMPLEX128)
_COPY_AGAIN = "copy it again from where it was made"


def check_first_version(file: Path) -> None:
    """Check one file of such a checkpoint.

    TensorFlow copies as many values as a slice should have, and does not look how many there are. Raises
    `BadInput` and `Refused` as `check_checkpoint` does.
    """
    try:
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
            _check(data, file.name)
    except ValueError as error:  # an empty file cannot be mapped
        raise BadInput(f"the checkpoint cannot be read: {error}", where=file.name, remedy=_COPY_AGAIN) from error
    except OSError as error:
        raise LocalIOError(f"cannot read {file}", remedy=str(error)) from error


def _check(data: mmap.mmap, where: str) -> None:
    expected: dict[bytes, tuple[str, int]] = {}
    for key, value in entries(data, where):
        record = _parsed(value, where)
        if not key:
            expected = dict(_expected(record.meta, where))
        elif key in expected:
            _check_value(record.data.data, *expected.pop(key), where)
    if expected:
        name, count = next(iter(expected.values()))
        raise BadInput(f"the {count} values of {name} are not stored", where=where, remedy=_COPY_AGAIN)


def _parsed(value: bytes, where: str) -> Any:
    try:
        return saved_tensor_slice_pb2.SavedTensorSlices.FromString(value)
    except message.DecodeError as error:
        raise BadInput("a record of the checkpoint is damaged", where=where, remedy=_COPY_AGAIN) from error


def _expected(meta: Any, where: str) -> Iterator[tuple[bytes, tuple[str, int]]]:
    """Yield the key of every value, with its tensor's name and how many elements it must have."""
    for tensor in meta.tensor:
        whose, dims = f"the tensor {tensor.name[:200]}", dims_of(tensor.shape)
        item_bytes(tensor.type, whose, where)
        count, held = element_count(dims, whose, where), dict[bytes, int]()
        for proto in tensor.slice:
            extents = extents_of(proto)
            part = slice_dims(dims, extents, whose, where)
            key = slice_key(tensor.name.encode(), extents)
            held[key] = element_count(part, whose, where)
            yield key, (tensor.name, held[key])
        if sum(held.values()) < count:
            what = f"{whose} declares {count} elements, and its slices hold {sum(held.values())}"
            raise BadInput(what, where=where, remedy=_COPY_AGAIN)


def _check_value(tensor: Any, name: str, count: int, where: str) -> None:
    lengths = [len(value) for field, value in tensor.ListFields() if field.name.endswith("_val")]
    held = max(lengths, default=0) // (2 if tensor.dtype in _PAIRS else 1)
    if held != count:
        what = f"the tensor {name[:200]} declares {count} values and stores {held}"
        raise BadInput(what, where=where, remedy=DAMAGED)
