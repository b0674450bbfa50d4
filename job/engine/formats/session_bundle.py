"""Signatures as SessionBundle wrote them, before there were SavedModels: ``manifest.proto`` of TensorFlow Serving."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory
from tensorflow.core.protobuf import meta_graph_pb2

from job.errors import BadInput

COLLECTION: Final = "serving_signatures"
PACKAGE: Final = "tf1lift.session_bundle"

FIELDS: Final = {
    "TensorBinding": ("tensor_name",),
    "Binding": ("key", "value:TensorBinding"),
    "Regression": ("input:TensorBinding", "output:TensorBinding"),
    "Classification": ("input:TensorBinding", "classes:TensorBinding", "scores:TensorBinding"),
    "Generic": ("map:Binding*",),
    "Signature": ("regression:Regression", "classification:Classification", "generic:Generic"),
    "Named": ("key", "value:Signature"),
    "Signatures": ("default:Signature", "named:Named*"),
}
"""The messages that TensorFlow no longer has; fields are numbered from 1, a ``*`` repeats, a map is its entries."""

METHODS: Final = {"regression": "regress", "classification": "classify", "generic": "predict"}
ARGUMENTS: Final = {"input": "inputs", "output": "outputs", "classes": "classes", "scores": "scores"}
"""As TensorFlow Serving renames a SessionBundle's."""


def adopt_signatures(meta_graph: meta_graph_pb2.MetaGraphDef) -> None:
    """Give a MetaGraph without signatures those of its SessionBundle, if it is one; in place.

    Raises `BadInput` for a collection that cannot be read.
    """
    if meta_graph.signature_def or COLLECTION not in meta_graph.collection_def:
        return
    for packed in meta_graph.collection_def[COLLECTION].any_list.value:
        signatures = _message("Signatures")()
        try:
            signatures.ParseFromString(packed.value)
        except message.DecodeError as error:
            raise BadInput(
                "the SessionBundle's signatures cannot be read", where=COLLECTION, remedy="copy it again"
            ) from error
        for key, definition in _definitions(signatures):
            meta_graph.signature_def[key].CopyFrom(definition)


def _definitions(signatures: Any) -> Iterator[tuple[str, meta_graph_pb2.SignatureDef]]:
    """Yield the default signature, the pair of generic ones called inputs and outputs, and every other named one."""
    named = {entry.key: entry.value for entry in signatures.named}
    fed, fetched = (_generic(named[key]) if key in named else {} for key in ("inputs", "outputs"))
    has_default = signatures.HasField("default")
    if has_default:
        yield "serving_default", _definition(signatures.default)
    if fed and fetched:
        yield "predict" if has_default else "serving_default", _of("generic", fed, fetched)
    for key, signature in named.items():
        if not signature.HasField("generic"):
            yield key, _definition(signature)


def _definition(signature: Any) -> meta_graph_pb2.SignatureDef:
    kind = next((kind for kind in METHODS if signature.HasField(kind)), "generic")
    if kind == "generic":
        bound = _generic(signature)
        return _of(kind, {}, bound)
    bound = {field.name: value.tensor_name for field, value in getattr(signature, kind).ListFields()}
    fed = {ARGUMENTS["input"]: bound.pop("input")} if "input" in bound else {}
    return _of(kind, fed, {ARGUMENTS[name]: tensor for name, tensor in bound.items()})


def _generic(signature: Any) -> dict[str, str]:
    return {entry.key: entry.value.tensor_name for entry in signature.generic.map}


def _of(kind: str, fed: Mapping[str, str], fetched: Mapping[str, str]) -> meta_graph_pb2.SignatureDef:
    definition = meta_graph_pb2.SignatureDef(method_name=f"tensorflow/serving/{METHODS[kind]}")
    for arguments, infos in ((fed, definition.inputs), (fetched, definition.outputs)):
        for name, tensor in arguments.items():
            infos[name].name = tensor
    return definition


def _message(name: str) -> Any:
    """Return a message class of `FIELDS`."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{PACKAGE}.proto", package=PACKAGE, syntax="proto2")
    for kind, fields in FIELDS.items():
        declared = file.message_type.add(name=kind)
        for number, field in enumerate(fields, 1):
            _declare(declared.field.add(number=number), *field.rstrip("*").partition(":")[::2], field.endswith("*"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))


def _declare(field: descriptor_pb2.FieldDescriptorProto, name: str, kind: str, repeated: bool) -> None:  # noqa: FBT001 - read off a star
    field.name = name
    field.label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
    field.type = field.TYPE_MESSAGE if kind else field.TYPE_STRING
    if kind:
        field.type_name = f".{PACKAGE}.{kind}"
