"""Records as JSON, strictly: what processes send each other and what is published."""

import json
import math
from enum import Enum
from typing import Any, Final, TypeVar

from cattrs import BaseValidationError, Converter, transform_error

T = TypeVar("T")


def dump(record: object) -> Any:
    """Return `record` as what JSON knows: enums as their values, tuples as lists, NaN and infinities as strings."""
    return _CONVERTER.unstructure(record)


def dumps(record: object, *, indent: int | None = None) -> str:
    """Return `record` as canonical JSON: ASCII, keys sorted; equal records give equal text."""
    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(dump(record), sort_keys=True, allow_nan=False, indent=indent, separators=separators)


def document(record: object) -> bytes:
    """Return `record` as a file that people read, too."""
    return (dumps(record, indent=2) + "\n").encode()


def loads(text: str | bytes, kind: type[T]) -> T:
    """Return the record of class `kind` that `text` holds.

    Raises `ValueError` in one line with everything that is wrong: what that means (a worker that
    died, a damaged commit) only the caller knows.
    """
    try:
        return _CONVERTER.structure(json.loads(text), kind)
    except BaseValidationError as error:
        raise ValueError(f"no {kind.__name__}: {'; '.join(transform_error(error))}") from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:  # AttributeError: a list for a record
        raise ValueError(f"no {kind.__name__}: {error}") from error


def prepare(*kinds: type[Any]) -> None:
    """Make what turns records of these classes to JSON and back, which takes longer than to use it once."""
    for kind in kinds:
        _CONVERTER.get_structure_hook(kind)
        _CONVERTER.get_unstructure_hook(kind)


def _plain_float(value: float) -> float | str:
    return float(value) if math.isfinite(value) else str(float(value))


def _float(value: Any, _: type[float]) -> float:
    if value in ("nan", "inf", "-inf") or type(value) in (int, float):
        return float(value)
    raise TypeError(f"expected float, found {type(value).__name__}")


def _exactly(value: Any, kind: type[T]) -> T:
    """Keep cattrs from coercing: it would read a missing name as the name ``None``."""
    if issubclass(kind, Enum):  # cattrs brings ours here, as they are strings too
        return kind(value)
    if type(value) is not kind:
        raise TypeError(f"expected {kind.__name__}, found {type(value).__name__}")
    return value


def _converter() -> Converter:
    converter = Converter(forbid_extra_keys=True)
    converter.register_unstructure_hook(float, _plain_float)
    converter.register_structure_hook(float, _float)
    for kind in (bool, int, str):
        converter.register_structure_hook(kind, _exactly)
    return converter


_CONVERTER: Final = _converter()
