"""A stored configuration made into one for today's Keras 2: checked, and without what only training needs."""

import base64
import marshal
import platform
import re
from collections.abc import Iterator
from typing import Any, Final

from google.protobuf.message import DecodeError

from job.engine.graph import NodeDef
from job.engine.keras import keras1
from job.engine.keras.layers import RENAMED, is_function, known_classes
from job.engine.keras.order import check_order
from job.engine.ops.policy import why_denied
from job.errors import BadInput, Refused
from job.records import ArtifactOptions

Json = dict[str, Any]

TRAINING_ONLY: Final = re.compile(r"\w*_?(initializer|regularizer|constraint)")
"""What gives a weight its first value or its penalty: the values are in the file."""

NOT_LEGACY: Final = ("module", "registered_name", "build_config", "compile_config", "shared_object_id", "autocast")
"""What later versions added; ``module`` would let a file choose what Python imports."""

CENTRED: Final = ("2.2.4-tf",)
"""Versions whose bilinear up-sampling takes the centres of pixels (TensorFlow 1.14 and 1.15)."""


def todays(config: Json, version: str, options: ArtifactOptions) -> Json:
    """Return the configuration for Keras 2's own code.

    Raises `Refused` for Python code in the configuration unless the user allows it and for denied ops, `BadInput` for
    classes and functions that are not in Keras.
    """
    try:
        _check_code(list(_described(config, "")), options)
        _check_ops(_described(config, ""))
        config = _cleaned(keras1.translated(config) if version.startswith(("0", "1")) else config)
        check_order(config)
        described = list(_described(config, ""))
        _check_known(described)
        for _, one in described:
            _as_then(one, version)
    except RecursionError as error:
        raise BadInput("the model's configuration is nested too deeply", remedy="the file is damaged") from error
    except (KeyError, TypeError, IndexError, AttributeError, DecodeError) as error:
        raise BadInput(f"the model's configuration is malformed: {error}", remedy="the file is damaged") from error
    return config


def _check_known(described: list[tuple[str, Json]]) -> None:
    known = known_classes()
    unknown = {name: one["class_name"] for name, one in described if one["class_name"] not in known}
    for name, one in described:
        inner = one["config"] if isinstance(one["config"], dict) else {}
        for function in (inner.get("activation"), inner.get("recurrent_activation")):
            if isinstance(function, str) and not is_function(function):
                unknown[name] = function
    if unknown:
        listed = ", ".join(f"{name} ({kind})" for name, kind in list(unknown.items())[:10])
        raise BadInput(
            f"layers whose classes or functions are not in Keras: {listed}",
            remedy="their code is not in the file: load the model where it is defined, under TensorFlow 1.15, and "
            "export a SavedModel (tf.compat.v1.saved_model.simple_save) or a frozen graph from there",
        )


def _as_then(described: Json, version: str) -> None:
    """Choose the layer that computes what this one did in its version."""
    config = described["config"]
    if described["class_name"] in RENAMED:
        described["class_name"], unsaid = RENAMED[described["class_name"]]
        config |= unsaid
    bilinear = isinstance(config, dict) and config.get("interpolation") == "bilinear"
    if described["class_name"] == "UpSampling2D" and bilinear and version not in CENTRED:
        described["class_name"] = "LegacyUpSampling2D"


def _cleaned(value: Any) -> Any:
    if isinstance(value, list):
        return [_cleaned(one) for one in value]
    if not isinstance(value, dict):
        return value
    kept = {key: _cleaned(one) for key, one in value.items() if key not in NOT_LEGACY}
    if not {"class_name", "config"} <= kept.keys():
        return kept
    if kept["class_name"] in ("Model", "Network"):
        kept["class_name"] = "Functional"
    if kept["class_name"] == "Sequential" and isinstance(kept["config"], list) and "name" in kept:
        kept["config"] = {"name": kept["name"], "layers": kept["config"]}
    if isinstance(kept["config"], dict):
        kept["config"] = {key: one for key, one in kept["config"].items() if not TRAINING_ONLY.fullmatch(key)}
        kept["config"] |= _dtype(kept["config"])
    return kept


def _dtype(config: Json) -> Json:
    """TensorFlow 2 wrote a policy where TensorFlow 1 wrote a type."""
    dtype = config.get("dtype")
    return {"dtype": dtype["config"]["name"]} if isinstance(dtype, dict) and "config" in dtype else {}


def _described(value: Any, name: str) -> Iterator[tuple[str, Json]]:
    """Yield (layer name, description) of everything in a configuration that is an object of some class."""
    if isinstance(value, list):
        for one in value:
            yield from _described(one, name)
    elif isinstance(value, dict):
        if {"class_name", "config"} <= value.keys():
            inner = value["config"] if isinstance(value["config"], dict) else {}
            name = str(inner.get("name") or value.get("name") or name or value["class_name"])
            yield name, value
        for one in value.values():
            yield from _described(one, name)


def _check_code(described: list[tuple[str, Json]], options: ArtifactOptions) -> None:
    coded = [name for name, one in described if one["class_name"] == "Lambda" or _is_code(one["config"])]
    if coded and not options.allow_lambda:
        raise Refused(
            f"Lambda layers carry Python code, which is never run: {', '.join(coded[:10])}",
            remedy="rebuild the model with layers in their place and load its weights; "
            "--allow-lambda runs the code of files that you trust",
        )
    for _, one in described:
        if one["class_name"] == "Lambda":
            _check_bytecode(one["config"])


def _check_bytecode(config: Json) -> None:
    """Bytecode is another one in every version of Python; that of Python 3.7 and older runs nowhere here."""
    function = config.get("function")
    if config.get("function_type") != "lambda" or not function:
        raise BadInput(
            f"the Lambda layer {config.get('name')} names a Python function that is not in the file: {function!r}",
            remedy="rebuild the model with layers in its place and load its weights",
        )
    try:
        marshal.loads(base64.decodebytes(function[0].encode()))  # noqa: S302 - the user allowed what the file brings
    except (ValueError, EOFError, TypeError, SystemError) as error:
        raise BadInput(
            f"the Lambda layer {config.get('name')} holds the bytecode of another Python than "
            f"{platform.python_version()}: {error}",
            remedy="rebuild the model with layers in its place and load its weights",
        ) from error


def _check_ops(described: Iterator[tuple[str, Json]]) -> None:
    """Layers of single ops are judged before there is a graph: TensorFlow may run a part of it to know shapes."""
    for name, one in described:
        if one["class_name"] == "TensorFlowOpLayer":
            node = NodeDef.FromString(one["config"]["node_def"].encode())
            if reason := why_denied(node):
                raise Refused(
                    f"op {node.op} (layer {name}) {reason}",
                    remedy="rebuild the model with layers in its place and load its weights",
                )


def _is_code(config: Any) -> bool:
    """Keras 1's Merge could hold a function, too, and so can wrappers of cells."""
    return isinstance(config, dict) and any(key.endswith("_type") and one == "lambda" for key, one in config.items())
