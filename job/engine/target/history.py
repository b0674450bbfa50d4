"""What each TensorFlow was the first to know: ``history.json``, which ``scripts/op-lists`` reads out of the wheels."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

HISTORY: Final = Path(__file__).with_name("history.json")


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """What a TensorFlow does not know yet, each with the version that was the first to know it.

    `attributes` are keyed by op and attribute, `values` by op, attribute and value: a dtype's name, a
    string, or a number below the attribute's old minimum. `graph_version` is the newest GraphDef version that it reads.
    """

    version: str
    graph_version: int
    ops: Mapping[str, str]
    attributes: Mapping[tuple[str, str], str]
    values: Mapping[tuple[str, str, str], str]


@cache
def unknown_to(version: str) -> Unknown:
    """Return what TensorFlow `version`, of `job.records.TARGETS`, lacks; raises `KeyError` for any other."""
    history: dict[str, dict[str, Any]] = json.loads(HISTORY.read_text(encoding="utf-8"))
    later = {one: told for one, told in history.items() if number(one) > number(version)}
    return Unknown(
        version=version,
        graph_version=history[version]["graph_version"],
        ops={op: first for first, told in later.items() for op in told.get("ops", ())},
        attributes={
            (op, name): first
            for first, told in later.items()
            for op, names in told.get("attributes", {}).items()
            for name in names
        },
        values={
            (*key.split(".", 1), value): first
            for first, told in later.items()
            for key, values in told.get("values", {}).items()
            for value in values
        },
    )


def number(version: str) -> tuple[int, ...]:
    """Return a version for comparing: 2.10 is later than 2.9."""
    return tuple(map(int, version.split(".")))
