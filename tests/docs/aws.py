"""The `aws` command line as far as it can be checked offline: a call's options against the service's own model."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import boto3
from botocore import xform_name
from botocore.validate import ParamValidator

_CREDENTIALS: Final = {"aws_access_key_id": "none", "aws_secret_access_key": "none", "region_name": "us-east-1"}
_NUMBERS: Final = ("integer", "long")
_COMPOSED: Final = ("structure", "map", "list")


def check(arguments: Sequence[str]) -> str:
    """Look at ``aws SERVICE OPERATION --OPTION VALUE …`` and say what was found right.

    Raises `ValueError` with what the service would not take.
    """
    service, operation, *options = arguments
    client = boto3.client("s3" if service == "s3api" else service, **_CREDENTIALS)
    name = next((name for name in client.meta.service_model.operation_names if xform_name(name, "-") == operation), "")
    if not name:
        raise ValueError(f"{service} has no operation {operation}")
    shape = client.meta.service_model.operation_model(name).input_shape
    wrong = ParamValidator().validate(_parameters(options, shape), shape).generate_report()
    if wrong:
        raise ValueError(wrong)
    return f"{name} of {service} takes these parameters"


def _parameters(options: Sequence[str], shape: Any) -> dict[str, Any]:
    """Return the options of a call as the service's parameters."""
    members = {xform_name(name, "-"): name for name in shape.members}
    pairs = zip(options[::2], options[1::2], strict=True)
    found: dict[str, Any] = {}
    for flag, value in pairs:
        name = flag.removeprefix("--")
        if name == "cli-input-json":
            found |= json.loads(_text(value))
        elif name in members:
            found[members[name]] = _value(value, shape.members[members[name]])
        else:
            raise ValueError(f"no option {flag}; there are: {', '.join(sorted(members))}")
    return found


def _value(text: str, shape: Any) -> Any:
    text = _text(text)
    if shape.type_name in _NUMBERS:
        return int(text)
    if shape.type_name not in _COMPOSED:
        return text
    return json.loads(text) if text.lstrip().startswith(("{", "[")) else _shorthand(text, shape)


def _shorthand(text: str, shape: Any) -> Any:
    """Read ``key=value,key=value``, or for a list values with spaces or commas between."""
    if shape.type_name == "list":
        return text.replace(",", " ").split()
    pairs = (pair.split("=", 1) for pair in text.split(","))
    members = getattr(shape, "members", {})
    return {key: _value(value, members[key]) if key in members else value for key, value in pairs}


def _text(value: str) -> str:
    return Path(value.removeprefix("file://")).read_text(encoding="utf-8") if value.startswith("file://") else value
