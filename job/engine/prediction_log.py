"""TF Serving's log of a request, of which its warm-up reads one record after another.

The messages are those of tensorflow_serving/apis/{prediction_log,predict,model}.proto as tensorflow-serving-api 2.21
has them, cut to the fields that a warm-up of ``Predict`` reads. What is written depends on numbers and types alone, so
that they have names of our own: the package itself may be in the same process.
"""

from collections.abc import Mapping
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from tensorflow.core.framework import tensor_pb2

_PACKAGE: Final = "tf1lift.serving"
_FIELD: Final = descriptor_pb2.FieldDescriptorProto
_TENSOR: Final = tensor_pb2.TensorProto.DESCRIPTOR

_MESSAGES: Final[Mapping[str, Mapping[str, tuple[int, str]]]] = {
    "PredictionLog": {"predict_log": (6, "PredictLog")},
    "PredictLog": {"request": (1, "PredictRequest")},
    "PredictRequest": {"model_spec": (1, "ModelSpec"), "inputs": (2, "PredictRequest.InputsEntry")},
    "ModelSpec": {"name": (1, "string"), "signature_name": (3, "string")},
}
"""Fields by their names: number, and ``string`` or the message that they hold."""


def predict_log(signature: str, inputs: Mapping[str, tensor_pb2.TensorProto]) -> bytes:
    """Return the record of a request to a signature.

    The model's name is left out: the server asks the model that it is just loading, whatever the record says.
    """
    log = PREDICTION_LOG()
    request = log.predict_log.request
    request.model_spec.signature_name = signature
    for key, tensor in inputs.items():
        request.inputs[key].CopyFrom(tensor)
    record: bytes = log.SerializeToString(deterministic=True)
    return record


def request_in(record: bytes) -> tuple[str, dict[str, tensor_pb2.TensorProto]]:
    """Return the signature and the inputs of a record."""
    request = PREDICTION_LOG.FromString(record).predict_log.request
    return request.model_spec.signature_name, dict(request.inputs)


def _prediction_log() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="tf1lift/prediction_log.proto", package=_PACKAGE, syntax="proto3", dependency=[_TENSOR.file.name]
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            _add(message, field, number, kind)
        if name == "PredictRequest":
            entry = message.nested_type.add(name="InputsEntry")  # map<string, TensorProto>
            entry.options.map_entry = True
            _add(entry, "key", 1, "string")
            entry.field.add(
                name="value",
                number=2,
                type=_FIELD.TYPE_MESSAGE,
                type_name=f".{_TENSOR.full_name}",
                label=_FIELD.LABEL_OPTIONAL,
            )
    pool = descriptor_pool.Default()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.PredictionLog"))


def _add(message: descriptor_pb2.DescriptorProto, name: str, number: int, kind: str) -> None:
    if kind == "string":
        message.field.add(name=name, number=number, type=_FIELD.TYPE_STRING, label=_FIELD.LABEL_OPTIONAL)
        return
    label = _FIELD.LABEL_REPEATED if kind.endswith("Entry") else _FIELD.LABEL_OPTIONAL
    message.field.add(name=name, number=number, type=_FIELD.TYPE_MESSAGE, type_name=f".{_PACKAGE}.{kind}", label=label)


PREDICTION_LOG: Final = _prediction_log()
"""The class of the outermost message."""
