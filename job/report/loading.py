"""How a published model is loaded: programs for plain TensorFlow, Keras 3 and TF Serving, with the model's own names.

Each is meant to be copied and run in the directory of the report. Inputs are zeros of the smallest
shape that fits, black images of 224 pixels, or what a file holds where the model decodes images or parses examples.
"""

import json
import re
import shlex
from dataclasses import dataclass
from typing import Final

from job import keras_file
from job.records import ArtifactReport, Signature, TensorSpec

DEFAULT_SIGNATURE: Final = "serving_default"

FILES: Final = {"_decoded": "encoded.bin", "_parsed": "example.bin"}
"""By the end of the key of the signature that the job added beside: a file with what the string must hold."""
WHAT: Final = {"encoded.bin": "an encoded image or sound", "example.bin": "one serialized tf.Example"}

PIXELS: Final = 224
"""Of images of any size: many networks answer none that are as small as a kernel."""

JSON_DTYPES: Final = frozenset(
    {"float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint32", "uint64", "bool", "string"}
)
"""What TF Serving reads from JSON (``AddValueToTensor`` in its ``json_tensor.cc``)."""

SERVER: Final = "tensorflow/serving:2.21.0"
"""Of the minor version of TensorFlow that writes the models: an older server may not read them."""
CONTAINER: Final = "tf1lift"
PATIENCE_S: Final = 120
"""How long the lines wait for a server that loads a model."""


@dataclass(frozen=True, kw_only=True)
class Snippet:
    """A program, or no lines and, in `note`, why there is none."""

    title: str
    lines: tuple[str, ...] = ()
    note: str = ""


def loading_snippets(report: ArtifactReport) -> tuple[Snippet, ...]:
    """Return what a reader of the report may copy; nothing where no model lies beside it."""
    if report.error is not None or report.summary is None or not report.summary.signatures:
        return ()
    example = _Example(report.summary.signatures)
    in_keras_file = any(finding.code == "keras_file" for finding in report.summary.findings)
    return (
        Snippet(title="TensorFlow", lines=_tensorflow(example), note=example.note),
        _keras_file() if in_keras_file else _keras(example),
        _serving(example, re.sub(r"[^\w.-]+", "_", report.artifact.name)),
    )


class _Example:
    """The signature to show, and how a call of it is written."""

    def __init__(self, signatures: tuple[Signature, ...]) -> None:
        own = next((one for one in signatures if one.key == DEFAULT_SIGNATURE), signatures[0])
        beside = [one for one in signatures if one.beside == own.key]
        self.signature = own
        self._files = {
            spec.key: file
            for end, file in FILES.items()
            for one in beside
            if one.key.endswith(end)
            for spec in own.inputs
            if spec.dtype == "string" and spec.key not in {kept.key for kept in one.inputs}
        }

    @property
    def note(self) -> str:
        """Say what the files are that the call reads."""
        return " ".join(f"Put {WHAT[file]} of yours into {file}." for file in sorted(set(self._files.values())))

    def arguments(self) -> dict[str, str]:
        """Return the expression of a tensor for each input."""
        return {spec.key: self._tensor(spec) for spec in self.signature.inputs}

    def answers(self) -> str:
        """Return the line that prints every output."""
        return f"print({', '.join(f'answers[{_text(output.key)}]' for output in self.signature.outputs)})"

    def in_json(self) -> dict[str, str]:
        """Return the expression of plain lists, strings and numbers for each input."""
        return {spec.key: self._plain(spec) for spec in self.signature.inputs}

    def _tensor(self, spec: TensorSpec) -> str:
        if spec.dtype != "string":
            return f"tf.zeros({_sizes(spec)}, tf.{spec.dtype})"
        file = self._files.get(spec.key)
        return f"tf.fill({_sizes(spec)}, {f'tf.io.read_file({_text(file)})' if file else _text('')})"

    def _plain(self, spec: TensorSpec) -> str:
        file = self._files.get(spec.key)
        zero = {"bool": "False", "string": '""', "float32": "0.0", "float64": "0.0"}.get(spec.dtype, "0")
        value = f'{{"b64": base64.b64encode(open({_text(file)}, "rb").read()).decode()}}' if file else zero
        for size in reversed(_sizes(spec)):
            value = f"[{value}]" if size == 1 else f"[{value}] * {size}"
        return value


def _tensorflow(example: _Example) -> tuple[str, ...]:
    arguments = example.arguments()
    if all(key.isidentifier() for key in arguments):
        written = ", ".join(f"{key}={value}" for key, value in arguments.items())
    else:  # TensorFlow takes keywords only, and a dictionary's keys may be any text
        written = f"**{_dictionary(arguments)}"
    return (
        "import tensorflow as tf",
        'model = tf.saved_model.load("saved_model")',
        f"serve = model.signatures[{_text(example.signature.key)}]",
        f"answers = serve({written})",
        example.answers(),
    )


def _keras_file() -> Snippet:
    lines = ("import keras", f"model = keras.saving.load_model({_text(keras_file.NAME)})", "model.summary()")
    return Snippet(title="Keras 3", lines=lines)


def _keras(example: _Example) -> Snippet:
    """`TFSMLayer` takes a single tensor; several need a `call` of their own."""
    signature, arguments = example.signature, example.arguments()
    if not arguments:
        return Snippet(title="Keras 3", note="A layer has inputs, and this signature has none.")
    several = len(arguments) > 1
    name = "Layer" if several else "keras.layers.TFSMLayer"
    by_name = ("class Layer(keras.layers.TFSMLayer):", "    def call(self, inputs):")
    as_model = _fits_functional(signature)
    lines = (
        "import keras",
        "import tensorflow as tf",
        *((*by_name, "        return self.call_endpoint_fn(**inputs)") if several else ()),
        f'layer = {name}("saved_model", call_endpoint={_text(signature.key)})',
        *(("layer.autocast = False  # floats stay as they are",) if _has_other_floats(signature) else ()),
        *(_functional(signature) if as_model else ()),
        f"answers = {'model' if as_model else 'layer'}({_inputs(arguments)})",
        example.answers(),
    )
    return Snippet(title="Keras 3", lines=lines, note=example.note)


def _functional(signature: Signature) -> tuple[str, ...]:
    inputs = {spec.key: _keras_input(spec) for spec in signature.inputs}
    return f"inputs = {_inputs(inputs)}", "model = keras.Model(inputs, layer(inputs))"


def _inputs(values: dict[str, str]) -> str:
    return _dictionary(values) if len(values) > 1 else next(iter(values.values()))


def _keras_input(spec: TensorSpec) -> str:
    name = f", name={_text(spec.key)}" if spec.key.isidentifier() else ""
    return f'keras.Input(batch_shape={spec.shape}, dtype="{spec.dtype}"{name})'


def _fits_functional(signature: Signature) -> bool:
    """Keras wants to know every rank, and names several inputs as it does its layers."""
    ranks_known = all(spec.shape is not None for spec in (*signature.inputs, *signature.outputs))
    return ranks_known and (len(signature.inputs) == 1 or all(spec.key.isidentifier() for spec in signature.inputs))


def _has_other_floats(signature: Signature) -> bool:
    return any("float" in spec.dtype and spec.dtype != "float32" for spec in signature.inputs)


def _serving(example: _Example, name: str) -> Snippet:
    beyond = sorted({spec.dtype for spec in example.signature.inputs} - JSON_DTYPES)
    start, stop = _server(name), f"docker rm -f {CONTAINER}"
    if beyond:
        note = f"TF Serving reads no {' and '.join(beyond)} from JSON; its gRPC API takes them. {stop} ends it."
        return Snippet(title="TF Serving", lines=start, note=note)
    body = _dictionary({"signature_name": _text(example.signature.key), "inputs": _dictionary(example.in_json())})
    imports = "base64, json" if example.note else "json"
    lines = (
        *start,
        f"python3 -c {shlex.quote(f'import {imports}; print(json.dumps({body}))')} > body.json",
        f"curl -d @body.json http://localhost:8501/v1/models/{name}:predict",
        stop,
    )
    return Snippet(title="TF Serving", lines=lines, note=example.note)


def _server(name: str) -> tuple[str, ...]:
    """Start a server in the background and wait until it has loaded the model; a second time does the same."""
    place, status = f"models/{name}/1", f"curl -s http://localhost:8501/v1/models/{name}"
    return (
        f"mkdir -p {place} && cp -r saved_model/. {place}",
        f'docker run -d --name {CONTAINER} -p 8501:8501 -v "$PWD/models:/models" -e MODEL_NAME={name} {SERVER}',
        f"for second in $(seq {PATIENCE_S}); do {status} | grep -q AVAILABLE && break; sleep 1; done",
    )


def _sizes(spec: TensorSpec) -> list[int]:
    """Return the smallest shape that fits: every free dimension is 1, but for those of images."""
    match spec.shape:
        case None:
            return [1]
        case batch, None, None, (1 | 3) as channels if spec.dtype in {"float32", "uint8"}:
            return [batch or 1, PIXELS, PIXELS, channels]
        case sizes:
            return [1 if size is None else size for size in sizes]


def _dictionary(values: dict[str, str]) -> str:
    return "{" + ", ".join(f"{_text(key)}: {value}" for key, value in values.items()) + "}"


def _text(value: str) -> str:
    """Write a string as Python and JSON both read it."""
    return json.dumps(value, ensure_ascii=False)
