"""Averages of the weights that training kept beside them, with which many models answer better."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from job.engine.health.subject import Ema, Subject
from job.engine.state.checkpoint import StoredVariable, read_values
from job.records import Finding

SHADOW: Final = re.compile(r"(/ExponentialMovingAverage|/EMA|/ema|_ema)$")
"""What ``tf.train.ExponentialMovingAverage`` puts behind a variable's name, and what people do."""

MAX_COMPARED: Final = 16 * 2**20
"""Elements that are read to see whether averages differ from what they average: a fraction of a second."""


def shadows(variables: tuple[StoredVariable, ...], stored: Mapping[str, Any]) -> dict[str, str]:
    """Return the stored average of every variable that has one, by the key of what it averages.

    What the graph reads for itself is a variable of its own, as a mean teacher's are, and stands in for no other.
    """
    read = {variable.key for variable in variables}
    keys = {
        variable.key: list(stored[variable.key])
        for variable in variables
        if variable.value is None and variable.key in stored
    }
    found = {SHADOW.sub("", name): name for name in sorted(stored) if SHADOW.search(name) and name not in read}
    return {key: found[key] for key, shape in keys.items() if key in found and list(stored[found[key]]) == shape}


def averaged(variables: tuple[StoredVariable, ...], stored: Mapping[str, Any]) -> tuple[StoredVariable, ...]:
    """Return the variables, each with its average's stored tensor where there is one."""
    found = shadows(variables, stored)
    return tuple(
        replace(variable, key=found[variable.key], is_average=True) if variable.key in found else variable
        for variable in variables
    )


def chosen(
    variables: tuple[StoredVariable, ...], stored: Mapping[str, Any], ema: Ema, *, restated: bool
) -> tuple[StoredVariable, ...]:
    """Return the variables with their averages where these are asked for.

    By itself only in a `restated` graph: a checkpoint's own one knows which of the two it reads. There they are taken
    where every trained variable has one: models that are trained so are evaluated so.
    """
    wanted = ema == "on" or (ema == "auto" and restated and not _lacking(variables, shadows(variables, stored)))
    return averaged(variables, stored) if wanted else variables


def averages_used(subject: Subject) -> Iterator[Finding]:
    """Say that variables have the values of their averages, and where nobody asked for it, what it changes."""
    taken = {one.key: SHADOW.sub("", one.key) for one in subject.variables if one.is_average}
    if not taken:
        yield from _absent(subject)
        return
    cause = (
        f"{len(taken)} of the {len(subject.variables)} variables have the values of their moving averages "
        f"(first {next(iter(taken))})"
    )
    compared, differing = _differing(subject, taken) if subject.ema == "auto" else (0, 0)
    if differing:
        yield Finding(
            code="averages_chosen",
            severity="warning",
            cause=f"{cause}, as every trained one has an average; {differing} of the {compared} compared differ "
            "from the weights themselves",
            remedy="--ema off takes the weights themselves",
        )
    else:
        yield Finding(code="averages_used", cause=cause, remedy="--ema off takes the weights themselves")


def _absent(subject: Subject) -> Iterator[Finding]:
    reads_some = any(SHADOW.search(variable.key) for variable in subject.variables)
    if subject.ema == "on" and subject.stored and not reads_some:
        yield Finding(
            code="averages_absent",
            severity="warning",
            cause=f"moving averages were asked for, and the checkpoint holds none of its {len(subject.variables)} "
            "variables; the variables themselves were taken",
            remedy="convert the checkpoint that holds them, or leave out --ema on",
        )


def averages_unused(subject: Subject) -> Iterator[Finding]:
    """Say that the checkpoint holds averages that are not used, whether they are any different, and why."""
    found = shadows(subject.variables, subject.stored)
    if not found:
        return
    compared, differing = _differing(subject, found)
    seen = f"{differing} of the {compared} compared differ from it" if compared else "none was compared"
    yield Finding(
        code="averages_unused",
        cause=f"the checkpoint holds moving averages of {len(found)} of the {len(subject.variables)} variables "
        f"({next(iter(found.values()))} …), {seen}; {_why_unused(subject, found)}",
        remedy="--ema on converts the averages, if it is these that the model was evaluated with",
    )


def _why_unused(subject: Subject, found: Mapping[str, str]) -> str:
    if not subject.restated:
        return "the graph reads the variables themselves"
    lacking = _lacking(subject.variables, found)
    some = f", for {len(lacking)} trained ones have none (first {lacking[0]})" if lacking else ""
    return f"the variables themselves were taken{some}"


def _lacking(variables: tuple[StoredVariable, ...], found: Mapping[str, str]) -> list[str]:
    """Return the trained variables that have no average."""
    return [variable.name for variable in variables if variable.trainable and variable.key not in found]


def _differing(subject: Subject, found: Mapping[str, str]) -> tuple[int, int]:
    """Return how many averages were compared, the small ones first, and how many of those differ."""
    mine = [variable for variable in subject.variables if variable.key in found]
    mine.sort(key=lambda variable: variable.shape.num_elements() or 0)
    total = np.cumsum([variable.shape.num_elements() or 0 for variable in mine])
    some = tuple(variable for variable, size in zip(mine, total, strict=True) if size <= MAX_COMPARED)
    raw = read_values(subject.checkpoint, some)
    average = read_values(subject.checkpoint, tuple(replace(one, key=found[one.key]) for one in some))
    return len(some), sum(not np.array_equal(left, right) for left, right in zip(raw, average, strict=True))
