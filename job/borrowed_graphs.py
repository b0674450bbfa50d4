"""The MetaGraph of one checkpoint for another that has none: of a copy with the same weights, or of another step."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from job.checkpoints import META_KINDS, Checkpoint
from job.content import Content
from job.records import StoredObject
from job.survey import Survey

STEP: Final = re.compile(r"(.*)-(\d+)", re.DOTALL)
"""A checkpoint's prefix with the training step at its end."""

Copies = Mapping[tuple[int, str], Sequence[tuple[StoredObject, StoredObject]]]
"""The MetaGraph and the index of each checkpoint that has both, by the index's size and digest."""


def copies_in(survey: Survey) -> Copies:
    """Return all checkpoints with a sound MetaGraph under a source, as they are looked up by `of_a_copy`."""
    found: dict[tuple[int, str], list[tuple[StoredObject, StoredObject]]] = {}
    for files in survey.directories.values():
        for name, index in files.items():
            meta = files.get(f"{name.removesuffix('.index')}.meta") if name.endswith(".index") else None
            if meta is not None and (look := _look_of(survey, index)) and _is_sound(survey, meta):
                found.setdefault(look, []).append((meta, index))
    return found


def of_a_copy(survey: Survey, checkpoint: Checkpoint, copies: Copies) -> tuple[StoredObject, ...]:
    """Return MetaGraph and index of the checkpoint that has the same index; nothing if there is none.

    An index holds names, shapes and a checksum of each value, so that where it is the same the weights
    are. Of several the one in the same directory comes first.
    """
    index = checkpoint.parts.get(".index")
    look = _look_of(survey, index) if index else None
    found = copies.get(look, ()) if look else ()
    directory = checkpoint.prefix.rpartition("/")[0]
    return min(found, key=lambda pair: (pair[0].key.rpartition("/")[0] != directory, pair[0].key), default=())


def of_another_step(survey: Survey, checkpoint: Checkpoint, beside: Sequence[Checkpoint]) -> tuple[StoredObject, ...]:
    """Return the MetaGraph of the nearest other step of the same training; nothing if none has one.

    ``Saver.save(write_meta_graph=False)`` leaves steps without. Whether the graph fits is the engine's to tell.
    """
    stem, step = _step_of(checkpoint)
    found = [
        (abs(_step_of(other)[1] - step), other.prefix, other.parts[".meta"])
        for other in beside
        if ".meta" in other.parts and _step_of(other)[0] == stem and _is_sound(survey, other.parts[".meta"])
    ]
    return tuple(meta for _, _, meta in sorted(found, key=lambda one: one[:2])[:1])


def _step_of(checkpoint: Checkpoint) -> tuple[str, int]:
    """Return a checkpoint's prefix without its step, and the step; 0 where there is none."""
    step = STEP.fullmatch(checkpoint.prefix)
    return (step[1], int(step[2])) if step else (checkpoint.prefix, 0)


def _look_of(survey: Survey, index: StoredObject) -> tuple[int, str] | None:
    look = survey.looks.get(index.key)
    is_told = isinstance(look, Content) and look.digest and not look.damage
    return (index.size_bytes, look.digest) if isinstance(look, Content) and is_told else None


def _is_sound(survey: Survey, meta: StoredObject) -> bool:
    return not any(survey.faults(meta, META_KINDS)) and survey.kind(meta) in META_KINDS
