"""What the command line checks as it reads, checked for settings that Python code has made."""

import math
from dataclasses import Field
from typing import Any, Literal, get_args, get_origin

from job.errors import UsageError
from job.nearest import meant
from job.settings import Settings, kind_of, knobs


def check(settings: Settings) -> None:
    """Raise `UsageError` for the first value that the command line would refuse, too."""
    for knob in knobs():
        value = getattr(settings, knob.name)
        if value != knob.default and (problem := _problem(knob, value)):
            remedy = "the options are in the help of python -m job run"
            if get_origin(kind_of(knob)) is Literal:
                remedy = meant(str(value), get_args(kind_of(knob)), remedy)
            raise UsageError(f"{knob.name}={value!r} {problem}", remedy=remedy)


def _problem(knob: "Field[Any]", value: Any) -> str:
    kind, minimum = kind_of(knob), knob.metadata["minimum"]
    if get_origin(kind) is Literal:
        return "" if value in get_args(kind) else f"is none of {', '.join(get_args(kind))}"
    if get_origin(kind) is tuple:
        return "" if type(value) is tuple and all(type(one) is str for one in value) else "is no tuple of texts"
    if type(value) is not kind and (kind, type(value)) != (float, int):
        return f"is no {kind.__name__}"
    if kind is float and math.isnan(value):
        return "is not a number"
    return f"is less than {minimum:g}" if minimum is not None and value < minimum else ""
