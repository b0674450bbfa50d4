"""What every reader returns, and how protocol buffers are parsed."""

import glob
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from google.protobuf import message, text_format
from tensorflow.core.protobuf import meta_graph_pb2

from job.engine.scanning.checkpoints import check_checkpoint
from job.engine.scanning.graphs import check_proto
from job.errors import BadInput, LocalIOError, Refused
from job.records import Finding

MAX_PROTO_BYTES: Final = 2**31 - 1
"""Protocol buffers cannot be larger; TensorFlow calls a larger file corrupt."""

MAX_TEXT_BYTES: Final = 2**30
"""Text is read in Python, a hundred times slower; a frozen graph takes three times its binary size."""

GRAPH_WANTED: Final = (
    "put its .meta, or its graph as a GraphDef (.pb, .pbtxt), beside it and name their directory as the source; "
    "or name that file by --graph: the .meta of another checkpoint of the same model will do; "
    "or give the function that builds the model by --architecture"
)
"""What to do where a checkpoint's graph is not there and its architecture is not known."""

Proto = TypeVar("Proto", bound=message.Message)


@dataclass(frozen=True, kw_only=True)
class LoadedMetaGraph:
    """A MetaGraphDef with the files that belong to it.

    `checkpoint` is the prefix of the variables' values, empty where there are none. `assets`
    maps the graph's asset tensors to files. `beside` is where a vocabulary may lie whose
    recorded path is gone. `restated` says that the graph is ours, told by the names of the variables.
    """

    meta_graph: meta_graph_pb2.MetaGraphDef
    checkpoint: str = ""
    assets: dict[str, Path] = field(default_factory=dict)
    beside: Path
    findings: tuple[Finding, ...] = ()
    restated: bool = False


def checkpoint_of(prefix: str) -> str:
    """Return what TensorFlow opens a checkpoint by: its prefix, or a pattern for a sharded V1 one.

    Exports of 2016 keep their variables as ``export-00000-of-00001`` without an index. The files have
    been checked then: raises as `check_checkpoint`.
    """
    path, index = Path(prefix), Path(f"{prefix}.index")
    shards = sorted(path.parent.glob(f"{glob.escape(path.name)}-[0-9]*-of-[0-9]*"))
    if index.exists() or path.is_file() or not shards:
        check_checkpoint(index, [path] if path.is_file() else [])
        return prefix
    check_checkpoint(index, shards)
    return f"{prefix}-?????-of-{shards[0].name[-5:]}"


def parse(path: Path, proto: Proto) -> Proto:
    """Fill `proto` from a binary or text file, told by content, and check the graphs in it.

    Raises `BadInput` for what does not parse and for files over 2 GiB, and as `check_proto`.
    """
    if path.stat().st_size > MAX_PROTO_BYTES:
        raise BadInput(
            "the file is larger than the 2 GiB that a protocol buffer can hold",
            where=path.name,
            remedy="export the model with its variables in a checkpoint",
        )
    try:
        data = path.read_bytes()
    except OSError as error:
        raise LocalIOError(f"cannot read {path}", remedy=str(error)) from error
    if not data:
        raise BadInput("the file is empty", where=path.name, remedy="copy it again from where it was made")
    parsed = _parse_text(data, path, proto) if _is_text(data) else _parse_binary(data, path, proto)
    check_proto(parsed, path.name)
    return parsed


def _is_text(data: bytes) -> bool:
    """Text protos have no control characters but white space; binary ones start with tag and length."""
    head = data[:4096]
    return not any(byte < 9 or 13 < byte < 32 for byte in head) and b"{" in head


def _parse_binary(data: bytes, path: Path, proto: Proto) -> Proto:
    try:
        proto.ParseFromString(data)
    except message.DecodeError as error:
        raise BadInput(
            f"truncated or damaged: no {proto.DESCRIPTOR.name} can be read from its {len(data)} bytes",
            where=path.name,
            remedy="copy it again from where it was made",
        ) from error
    return proto


def _parse_text(data: bytes, path: Path, proto: Proto) -> Proto:
    if len(data) > MAX_TEXT_BYTES:
        what = f"the text takes {len(data)} bytes; {MAX_TEXT_BYTES} are read"
        raise Refused(what, where=path.name, remedy="save the graph as a binary .pb (as_text=False)")
    try:
        text_format.Parse(data, proto, allow_unknown_field=True)
        proto.ParseFromString(proto.SerializeToString())  # which can be nested less deeply than text
    except (text_format.ParseError, message.Error, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(
            f"the text is no {proto.DESCRIPTOR.name}: {str(error)[:120]}",
            where=path.name,
            remedy="copy it again from where it was made",
        ) from error
    return proto


def unpack_any(packed: Any, proto: Proto) -> Proto:
    """Unpack a collection's ``google.protobuf.Any`` whatever type URL it was written with; raises `BadInput`."""
    try:
        proto.ParseFromString(packed.value)
    except message.Error as error:
        what = f"a collection holds no {proto.DESCRIPTOR.name}: {str(error)[:120]}"
        raise BadInput(what, remedy="copy it again from where it was made") from error
    return proto


def predict_signature(inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> meta_graph_pb2.SignatureDef:
    """Return the signature of a graph that has none: its tensors by key."""
    return meta_graph_pb2.SignatureDef(
        method_name="tensorflow/serving/predict",
        inputs={key: _info(tensor) for key, tensor in inputs.items()},
        outputs={key: _info(tensor) for key, tensor in outputs.items()},
    )


def _info(tensor: Any) -> meta_graph_pb2.TensorInfo:
    return meta_graph_pb2.TensorInfo(
        name=tensor.name, dtype=tensor.dtype.as_datatype_enum, tensor_shape=tensor.shape.as_proto()
    )
