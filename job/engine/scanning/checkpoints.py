"""What a checkpoint's files must be before TensorFlow opens them: it aborts at shapes that cannot be."""

import math
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Final, TypeAlias

from google.protobuf import message
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import tensor_bundle_pb2

from job.engine.scanning.first_version import check_first_version
from job.engine.scanning.sizes import DAMAGED, dims_of, element_count, item_bytes
from job.engine.scanning.slices import extents_of, is_full, slice_dims, slice_key
from job.engine.scanning.tables import entries
from job.errors import BadInput, LocalIOError, Refused

MAX_INDEX_BYTES: Final = 512 * 2**20
"""An entry takes some 60 bytes; a model of a hundred thousand variables has an index of 6 MB."""

_STRING_BYTES: Final = 1  # at least: a string's length comes before the texts
_COPY_ALL: Final = "copy its .index and all .data files again"

Entry: TypeAlias = tensor_bundle_pb2.BundleEntryProto
Entries: TypeAlias = dict[bytes, Entry]


def check_checkpoint(index: Path, first_version: Iterable[Path]) -> None:
    """Check the files of a checkpoint: those that `index` leads to, or else the ones of the `first_version`.

    Nothing is said of files that are not there: who reads them does. Raises `BadInput` for what is damaged,
    naming the tensor, and `Refused` for what is beyond the limits.
    """
    if index.is_file():
        _check_bundle(index)
    else:
        for file in first_version:
            check_first_version(file)


def _check_bundle(index: Path) -> None:
    where = index.name.removesuffix(".index")
    found = dict(entries(_read(index), where))
    shards = _shards(index, found.pop(b"", b""))
    stored = {key: _parsed(value, key, where) for key, value in found.items()}
    for key, entry in stored.items():
        _check_entry(key, entry, shards, where)
        _check_slices(key, entry, stored, where)
    _check_apart(stored, where)


def _read(index: Path) -> bytes:
    try:
        if index.stat().st_size > MAX_INDEX_BYTES:
            what = f"the checkpoint's index takes {index.stat().st_size} bytes; {MAX_INDEX_BYTES} are read"
            raise Refused(what, where=index.name.removesuffix(".index"), remedy=_COPY_ALL)
        return index.read_bytes()
    except OSError as error:
        raise LocalIOError(f"cannot read {index}", remedy=str(error)) from error


def _shards(index: Path, header: bytes) -> list[int | None]:
    """Return the data files' sizes, `None` for one that is not there."""
    try:
        count = tensor_bundle_pb2.BundleHeaderProto.FromString(header).num_shards
    except message.DecodeError as error:
        raise BadInput(
            "the checkpoint's header is damaged", where=index.name.removesuffix(".index"), remedy=_COPY_ALL
        ) from error
    if not 0 < count < 100_000:  # the names have five digits
        raise BadInput(f"the checkpoint is in {count} files", where=index.name.removesuffix(".index"), remedy=_COPY_ALL)
    prefix = str(index).removesuffix(".index")
    files = [Path(f"{prefix}.data-{number:05}-of-{count:05}") for number in range(count)]
    return [file.stat().st_size if file.is_file() else None for file in files]


def _parsed(value: bytes, key: bytes, where: str) -> Entry:
    try:
        return Entry.FromString(value)
    except message.DecodeError as error:
        raise BadInput(f"the entry of {_called(key)} is damaged", where=where, remedy=_COPY_ALL) from error


def _check_entry(key: bytes, entry: Entry, shards: list[int | None], where: str) -> None:
    whose = f"the tensor {_called(key)}"
    each = item_bytes(entry.dtype, whose, where)
    count = element_count(dims_of(entry.shape), whose, where)
    if any(not is_full(extents_of(proto)) for proto in entry.slices):
        return  # the values are in entries of their own
    if not 0 <= entry.shard_id < len(shards):
        what = f"{whose} is in data file {entry.shard_id} of {len(shards)}"
        raise BadInput(what, where=where, remedy=_COPY_ALL)
    end, file_bytes = entry.offset + entry.size, shards[entry.shard_id]
    if entry.offset < 0 or entry.size < 0 or (file_bytes is not None and end > file_bytes):
        what = f"{whose} lies at bytes {entry.offset} to {end}, and its data file ends at {file_bytes}"
        raise BadInput(what, where=where, remedy=_COPY_ALL)
    is_text = entry.dtype == types_pb2.DT_STRING
    if entry.size < count * _STRING_BYTES if is_text else entry.size != count * each:
        declared = f"at least {count}" if is_text else count * each
        what = f"{whose} declares {declared} bytes and stores {entry.size}"
        raise BadInput(what, where=where, remedy=DAMAGED)


def _check_slices(key: bytes, entry: Entry, stored: Entries, where: str) -> None:
    """Let each slice of a tensor be there, of the shape that it is said to have, and together be all of it."""
    whose, dims = f"the tensor {_called(key)}", dims_of(entry.shape)
    held = dict[tuple[tuple[int, int], ...], int]()
    for proto in entry.slices:
        extents = extents_of(proto)
        wanted = slice_dims(dims, extents, whose, where)
        part = entry if is_full(extents) else stored.get(slice_key(key, extents))
        if part is None or (part.slices and part is not entry):
            raise BadInput(f"a slice of {whose} is not stored: {extents}", where=where, remedy=_COPY_ALL)
        if dims_of(part.shape) != wanted or part.dtype != entry.dtype:
            what = f"a slice of {whose} is stored as {dims_of(part.shape)} where it should be {wanted}"
            raise BadInput(what, where=where, remedy=DAMAGED)
        held[tuple(extents)] = math.prod(wanted)
    if entry.slices and sum(held.values()) < (count := math.prod(dims)):
        what = f"{whose} declares {count} elements, and its slices hold {sum(held.values())}"
        raise BadInput(what, where=where, remedy=_COPY_ALL)


def _check_apart(stored: Entries, where: str) -> None:
    """Let no two tensors share bytes: a thousand could else be read from one."""
    spans = sorted(
        (entry.shard_id, entry.offset, entry.offset + entry.size, key)
        for key, entry in stored.items()
        if entry.size and not entry.slices
    )
    for (shard, _, end, one), (other_shard, start, _, other) in pairwise(spans):
        if shard == other_shard and start < end:
            what = f"the tensors {_called(one)} and {_called(other)} are stored in the same bytes"
            raise BadInput(what, where=where, remedy=DAMAGED)


def _called(key: bytes) -> str:
    """Return a tensor's name for a message; a slice's key begins with zero, its name ends with one."""
    name = key[1:].partition(b"\0")[0] if key.startswith(b"\0") else key
    return name.decode("utf-8", "backslashreplace")[:200]
