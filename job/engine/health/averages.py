"""Averages of the weights that training kept beside them, with which many models answer better."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from job.engine.health.subject import Subject
from job.engine.state.checkpoint import StoredVariable, read_values
from job.records import Finding

SHADOW: Final = re.compile(r"(/ExponentialMovingAverage|/EMA|/ema|_ema)$")
"""What ``tf.train.ExponentialMovingAverage`` puts behind a variable's name, and what people do."""

MAX_COMPARED: Final = 16 * 2**20
"""Elements that are read to see whether averages differ from what they average: a fraction of a second."""


def shadows(variables: tuple[StoredVariable, ...], stored: Mapping[str, Any]) -> dict[str, str]:
    """Return the stored average of every variable that has one, by the key of what it averages."""
    keys = {
        variable.key: list(stored[variable.key])
        for variable in variables
        if variable.value is None and variable.key in stored
    }
    found = {SHADOW.sub("", name): name for name in stored if SHADOW.search(name)}
    return {key: found[key] for key, shape in keys.items() if key in found and list(stored[found[key]]) == shape}


def averaged(variables: tuple[StoredVariable, ...], stored: Mapping[str, Any]) -> tuple[StoredVariable, ...]:
    """Return the variables, each with its average's stored tensor where there is one."""
    found = shadows(variables, stored)
    return tuple(
        replace(variable, key=found[variable.key], is_average=True) if variable.key in found else variable
        for variable in variables
    )


def averages_unused(subject: Subject) -> Iterator[Finding]:
    """Say that the checkpoint holds averages of the weights, and whether they are any different."""
    taken = [variable for variable in subject.variables if variable.is_average]
    if taken:
        yield Finding(
            code="averages_used",
            cause=f"{len(taken)} of the {len(subject.variables)} variables have the values of their moving averages "
            f"(first {taken[0].key})",
        )
    found = shadows(subject.variables, subject.stored)
    if not found:
        return
    compared, differing = _differing(subject, found)
    seen = f"{differing} of the {compared} compared differ from it" if compared else "none was compared"
    yield Finding(
        code="averages_unused",
        cause=f"the checkpoint holds moving averages of {len(found)} of the {len(subject.variables)} variables "
        f"({next(iter(found.values()))} …), {seen}; the graph reads the variables themselves",
        remedy="--ema on converts the averages, if it is these that the model was evaluated with",
    )


def _differing(subject: Subject, found: Mapping[str, str]) -> tuple[int, int]:
    """Return how many averages were compared, the small ones first, and how many of those differ."""
    mine = [variable for variable in subject.variables if variable.key in found]
    mine.sort(key=lambda variable: variable.shape.num_elements() or 0)
    total = np.cumsum([variable.shape.num_elements() or 0 for variable in mine])
    some = tuple(variable for variable, size in zip(mine, total, strict=True) if size <= MAX_COMPARED)
    raw = read_values(subject.checkpoint, some)
    average = read_values(subject.checkpoint, tuple(replace(one, key=found[one.key]) for one in some))
    return len(some), sum(not np.array_equal(left, right) for left, right in zip(raw, average, strict=True))
