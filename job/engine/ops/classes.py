"""Every op that TensorFlow registers, in one class each, with whether and why a model may have it run.

``classes.yaml`` beside this module is the list; ``scripts/op-policy`` keeps it, and writes ``docs/ops.md`` out of it.
"""

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import yaml

FILE: Final = Path(__file__).with_name("classes.yaml")

Runs = Literal["always", "sometimes", "never"]


@dataclass(frozen=True, kw_only=True)
class OpClass:
    """Ops that are judged alike; `reason` is what they do, in words that follow their name."""

    name: str
    runs: Runs
    reason: str
    ops: tuple[str, ...]


OF_THE_CUDA_BUILD: Final = frozenset({"_CopyFromGpuToHost", "_CopyFromHostToGpu"})
"""What the CPU build of TensorFlow 2.21 lacks: the list is for both (read out of the wheels)."""

UNDECIDED: Final = OpClass(
    name="undecided", runs="never", reason="is new in TensorFlow, and nobody has judged it yet", ops=()
)


def read(text: str) -> tuple[OpClass, ...]:
    """Return the classes in the order of the file."""
    return tuple(
        OpClass(name=name, runs=told["runs"], reason=told["reason"], ops=tuple(told["ops"].split()))
        for name, told in yaml.safe_load(text).items()
    )


def written(classes: Iterable[OpClass], head: str) -> str:
    """Return the file's text; `head` are the comments that it begins with."""
    return "\n".join([head, *map(_paragraph, classes)])


def _paragraph(one: OpClass) -> str:
    wrapped = textwrap.wrap(" ".join(one.ops), 115, break_long_words=False, break_on_hyphens=False)
    ops = textwrap.indent("\n".join(wrapped), "    ")
    return f'{one.name}:\n  runs: {one.runs}\n  reason: "{one.reason}"\n  ops: >-\n{ops}\n'


def updated(classes: Iterable[OpClass], registered: Iterable[str]) -> tuple[OpClass, ...]:
    """Return the classes without the ops that are gone; new ones are in `UNDECIDED`, which comes last."""
    there, known = OF_THE_CUDA_BUILD.union(registered), list(classes)
    new = there.difference(*(one.ops for one in known if one.name != UNDECIDED.name))
    kept = [replace(one, ops=tuple(sorted(there & {*one.ops}))) for one in known if one.name != UNDECIDED.name]
    return tuple(one for one in (*kept, replace(UNDECIDED, ops=tuple(sorted(new)))) if one.ops)


def by_op(classes: Iterable[OpClass]) -> Mapping[str, OpClass]:
    """Return the class of every op."""
    return {op: one for one in classes for op in one.ops}


CLASSES: Final = read(FILE.read_text(encoding="utf-8"))
CLASS_OF: Final = by_op(CLASSES)


def as_markdown(classes: Iterable[OpClass]) -> str:
    """Return the table of ``docs/ops.md``."""
    return "".join(f"{row}\n" for row in _rows(tuple(classes)))


def _rows(classes: tuple[OpClass, ...]) -> Iterator[str]:
    yield "| class | ops | may run | what it does | for instance |"
    yield "|---|--:|---|---|---|"
    for one in classes:
        shown = ", ".join(f"`{op}`" for op in one.ops[:3])
        yield f"| {one.name.replace('_', ' ')} | {len(one.ops)} | {one.runs} | {one.reason} | {shown} |"
    for runs in ("always", "sometimes", "never"):
        yield f"| **{runs}** | {sum(len(one.ops) for one in classes if one.runs == runs)} | | | |"
