"""From a listing to the artifacts in it: what can be converted, what is broken, and what is no model at all."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import PurePosixPath
from typing import Final

from job.checkpoints import (
    Checkpoint,
    file_faults,
    find_checkpoints,
    incomplete,
    missing_data,
    shown,
    variables_of,
    without_graph,
)
from job.content import MEANINGS, Kind
from job.errors import BadInput, JobError, NoInput
from job.naming import matches, name_of, told_apart
from job.records import Artifact, Format, LeftAlone, Listing, StoredObject
from job.storage.base import Storage
from job.survey import COMPANION_FILES, DATA_FILE, SAVED_MODEL_FILES, Survey, take_survey, why_not_read

_FORMATS: Final = {
    Kind.SAVED_MODEL: Format.SAVED_MODEL,
    Kind.SAVED_MODEL_TEXT: Format.SAVED_MODEL,
    Kind.META_GRAPH: Format.META_GRAPH,
    Kind.META_GRAPH_TEXT: Format.META_GRAPH,
    Kind.GRAPH_DEF: Format.GRAPH_DEF,
    Kind.GRAPH_DEF_TEXT: Format.GRAPH_DEF,
    Kind.CHECKPOINT_INDEX: Format.CHECKPOINT,
    Kind.KERAS_H5: Format.KERAS_H5,
}
_GRAPH_DEFS: Final = (Kind.GRAPH_DEF, Kind.GRAPH_DEF_TEXT)
_SAVED_MODELS: Final = (Kind.SAVED_MODEL, Kind.SAVED_MODEL_TEXT)

_CLAIMS: Final = {
    ".pb": (),
    ".pbtxt": (Kind.TEXT,),
    ".h5": (Kind.HDF5,),
    ".hdf5": (Kind.HDF5,),
    ".ckpt": (Kind.PYTORCH,),
}
"""Suffixes that promise a TF1 model, and what may bear them without breaking that promise."""

_TEXT_SUFFIXES: Final = (".txt", ".vocab", ".labels", ".tsv", ".csv", ".json")
_TEXT_BYTES: Final = 64 * 2**20
_TEXT_COUNT: Final = 100  # more is a data set
_NAMES_COMPARED: Final = 5000


def discover(storage: Storage, *, only: str) -> Listing:
    """Return what is under a source; artifacts whose name `only` does not fit are not mentioned.

    An artifact that cannot be converted is listed with its `problem`. Of several steps of one
    checkpoint the newest that `only` fits is taken. Raises `NoInput` if no artifact is left, and
    what `storage` raises.
    """
    survey = take_survey(storage)
    found = tuple(told_apart(_with_texts(survey, tuple(_artifacts(survey)))))
    matching = [artifact for artifact in found if matches(artifact.name, only)]
    left_alone = tuple(_left_alone(survey, found))
    if not matching:
        raise _nothing(survey, only, found, left_alone)
    newest, older = _newest(matching)
    return Listing(
        artifacts=tuple(sorted(newest, key=lambda artifact: artifact.name)),
        left_alone=tuple(sorted((*left_alone, *older), key=lambda left: left.key)),
    )


def _artifacts(survey: Survey) -> Iterator[Artifact]:
    for root in survey.owned:
        yield _saved_model(survey, root)
    for directory in survey.directories:
        checkpoints = find_checkpoints(survey, directory)
        yield from _checkpoints(survey, directory, checkpoints)
        taken = {stored.key for checkpoint in checkpoints for stored in checkpoint.parts.values()}
        for name, stored in survey.directories[directory].items():
            part_of_model = (directory in survey.owned and name in SAVED_MODEL_FILES) or stored.key in taken
            if not part_of_model and not (checkpoints and name == "graph.pbtxt"):
                yield from _file(survey, stored)


def _artifact(
    survey: Survey, format_: Format, entry: str, objects: Iterable[StoredObject], faults: Iterable[JobError]
) -> Artifact:
    """Return an artifact with the first of its faults."""
    problem = next((fault.to_record(stage="discover") for fault in faults), None)
    return Artifact(
        name=name_of(entry, survey.uri),
        format=format_,
        entry=entry,
        objects=tuple(sorted(objects, key=lambda stored: stored.key)),
        problem=problem,
    )


def _saved_model(survey: Survey, root: str) -> Artifact:
    beside = survey.directories.get(root, {})
    mains = [beside[name] for name in SAVED_MODEL_FILES if name in beside]
    owned = survey.owned[root]
    if mains and not any(name.startswith("variables/") for name in owned) and survey.kind(mains[0]) in _GRAPH_DEFS:
        return _artifact(survey, Format.GRAPH_DEF, mains[0].key, mains[:1], survey.faults(mains[0], _GRAPH_DEFS))
    companions = [stored for name, stored in beside.items() if name in COMPANION_FILES]
    objects = [*mains[:1], *companions, *owned.values()]
    return _artifact(
        survey, Format.SAVED_MODEL, root.removesuffix("/"), objects, _saved_model_faults(survey, root, mains)
    )


def _saved_model_faults(survey: Survey, root: str, mains: Sequence[StoredObject]) -> Iterator[JobError]:
    if not mains:
        yield BadInput(
            "a SavedModel without its graph: there is no saved_model.pb beside variables/",
            where=survey.where(root),
            remedy="put saved_model.pb back, or give the frozen GraphDef",
        )
    for main in mains[:1]:
        if survey.kind(main) in _GRAPH_DEFS:
            yield BadInput(
                f"a GraphDef lies under the name {PurePosixPath(main.key).name}, where a SavedModel should be",
                where=survey.where(main.key),
                remedy="put the SavedModel's own file there, or give the GraphDef alone, named frozen.pb",
            )
        yield from survey.faults(main, _SAVED_MODELS)
    variables = variables_of(root, survey.owned[root])
    yield from file_faults(survey, variables)
    missing = missing_data(survey, variables) if variables.parts else ()
    if missing:
        yield incomplete(survey, variables, missing, ())


def _checkpoints(survey: Survey, directory: str, checkpoints: Sequence[Checkpoint]) -> Iterator[Artifact]:
    """Yield one directory's checkpoints; data that is all alone may be what another one lacks."""
    missing = {checkpoint.prefix: missing_data(survey, checkpoint) for checkpoint in checkpoints}
    whole = [checkpoint for checkpoint in checkpoints if not checkpoint.is_stray]
    strays = [checkpoint.name + part for checkpoint in checkpoints if checkpoint.is_stray for part in checkpoint.parts]
    metas = [f"{checkpoint.name}.meta" for checkpoint in checkpoints if ".meta" in checkpoint.parts]
    state = [stored for name, stored in survey.directories[directory].items() if name == "checkpoint"]
    for checkpoint in whole if any(missing[checkpoint.prefix] for checkpoint in whole) else checkpoints:
        faults = _checkpoint_faults(survey, checkpoint, missing[checkpoint.prefix], strays, metas)
        format_ = Format.META_GRAPH if ".meta" in checkpoint.parts else Format.CHECKPOINT
        yield _artifact(survey, format_, checkpoint.prefix, [*checkpoint.parts.values(), *state], faults)


def _checkpoint_faults(
    survey: Survey, checkpoint: Checkpoint, missing: Sequence[str], strays: Sequence[str], metas: Sequence[str]
) -> Iterator[JobError]:
    yield from file_faults(survey, checkpoint)
    has_meta = ".meta" in checkpoint.parts
    if missing:
        names = missing if has_meta else (*missing, f"{checkpoint.name}.meta")
        yield incomplete(survey, checkpoint, names, () if checkpoint.is_stray else strays)
    if not has_meta:
        yield without_graph(survey, checkpoint, metas)


def _file(survey: Survey, stored: StoredObject) -> Iterator[Artifact]:
    """Yield the artifact that a file is by itself, or claims to be; nothing for any other file."""
    if stored.key not in survey.looks:
        return
    kind = survey.kind(stored)
    suffix = PurePosixPath(stored.key).suffix.lower()
    if kind in _GRAPH_DEFS:
        yield _artifact(survey, Format.GRAPH_DEF, stored.key, [stored], survey.faults(stored, _GRAPH_DEFS))
    elif kind in _FORMATS:
        yield _artifact(survey, _FORMATS[kind], stored.key, [stored], survey.faults(stored, ()))
    elif suffix in _CLAIMS and kind not in _CLAIMS[suffix]:
        yield _artifact(survey, Format.UNREADABLE, stored.key, [stored], survey.faults(stored, ()))


def _with_texts(survey: Survey, artifacts: Sequence[Artifact]) -> Iterator[Artifact]:
    """Add to each sound artifact the text files in its directory and below that no other is nearer to.

    Graphs name their vocabularies by absolute paths of machines that are gone; the files
    themselves usually lie beside the model.
    """
    homes = {_home(artifact) for artifact in artifacts if artifact.problem is None}
    texts: dict[str, list[StoredObject]] = {}
    for directory, files in survey.directories.items():
        here = [stored for stored in files.values() if _is_text(stored)]
        home = next((above for above in _upwards(directory) if above in homes), None) if here else None
        if home is not None:
            texts.setdefault(home, []).extend(here)
    for home, below in texts.items():
        texts[home] = sorted(below, key=lambda stored: (stored.key.count("/"), stored.key))[:_TEXT_COUNT]
    for artifact in artifacts:
        beside = texts.get(_home(artifact), []) if artifact.problem is None else []
        objects = sorted((*artifact.objects, *beside), key=lambda stored: stored.key)
        yield replace(artifact, objects=tuple(objects))


def _home(artifact: Artifact) -> str:
    inside = f"{artifact.entry}/" if artifact.format is Format.SAVED_MODEL and artifact.entry else artifact.entry
    return inside[: inside.rfind("/") + 1]


def _is_text(stored: StoredObject) -> bool:
    return stored.key.lower().endswith(_TEXT_SUFFIXES) and stored.size_bytes <= _TEXT_BYTES


def _upwards(directory: str) -> Iterator[str]:
    """Yield a directory's key and those above it, the source's own, which is empty, last."""
    while directory:
        yield directory
        directory = directory[: directory.rfind("/", 0, -1) + 1]
    yield ""


_STEP: Final = re.compile(r"(.*)-(\d+)", re.DOTALL)


def _newest(artifacts: Iterable[Artifact]) -> tuple[list[Artifact], list[LeftAlone]]:
    """Return the artifacts without the older steps of checkpoints, and those steps' files."""
    taken: list[Artifact] = []
    steps: dict[str, list[tuple[int, Artifact]]] = {}
    for artifact in artifacts:
        step = _STEP.fullmatch(artifact.entry)
        if step and artifact.format in (Format.META_GRAPH, Format.CHECKPOINT):
            steps.setdefault(step[1], []).append((int(step[2]), artifact))
        else:
            taken.append(artifact)
    left_alone: list[LeftAlone] = []
    for series in steps.values():
        *older, newest = (artifact for _, artifact in sorted(series, key=lambda pair: pair[0]))
        taken.append(newest)
        left_alone += (left for artifact in older for left in _superseded(artifact, newest))
    return taken, left_alone


def _superseded(older: Artifact, newest: Artifact) -> Iterator[LeftAlone]:
    reason = f"{newest.name} is newer; to convert this one, pass --only '{older.name}' or name it as the source"
    kept = set(newest.objects)
    return (LeftAlone(key=stored.key, reason=reason) for stored in older.objects if stored not in kept)


def _left_alone(survey: Survey, artifacts: Iterable[Artifact]) -> Iterator[LeftAlone]:
    taken = {stored.key for artifact in artifacts for stored in artifact.objects}
    for files in survey.directories.values():
        for name, stored in files.items():
            if stored.key not in taken:
                yield LeftAlone(key=stored.key, reason=_why_left(survey, name, stored))


def _why_left(survey: Survey, name: str, stored: StoredObject) -> str:
    look = survey.looks.get(stored.key)
    if DATA_FILE.search(name):
        return "a checkpoint's data under a name that no index goes with"
    if name in SAVED_MODEL_FILES:
        return "saved_model.pb beside it is read instead"
    if name == "graph.pbtxt" and survey.kind(stored) in _GRAPH_DEFS:
        return "the graph of a training run, which TensorFlow writes beside its checkpoints"
    if isinstance(look, JobError):
        return look.what
    return why_not_read(name) if look is None else f"it is {MEANINGS[look.kind][0]}"


def _nothing(survey: Survey, only: str, found: Sequence[Artifact], left_alone: Sequence[LeftAlone]) -> NoInput:
    if found:
        names = sorted(artifact.name for artifact in found)[:_NAMES_COMPARED]
        close = get_close_matches(only, names, cutoff=0.4) or names[:3]
        what = f"none of {len(found)} artifacts fits --only '{only}'"
        return NoInput(what, where=survey.uri, remedy=f"the closest names are {shown(close)}")
    count = sum(map(len, (*survey.directories.values(), *survey.owned.values())))
    example = f"; {left_alone[0].key}, for one: {left_alone[0].reason}" if left_alone else ""
    return NoInput(
        f"no TF1 model among the {count} objects listed{example}" if count else "the source is empty: 0 objects listed",
        where=survey.uri,
        remedy="name a prefix or directory with SavedModels, GraphDefs (.pb, .pbtxt) or checkpoints with their .meta",
    )
