"""From a listing to the artifacts in it: what can be converted, what is broken, and what is no model at all."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Final

from job.borrowed_graphs import Copies, copies_in, of_a_copy, of_another_step
from job.checkpoints import (
    Checkpoint,
    file_faults,
    find_checkpoints,
    incomplete,
    missing_data,
    variables_of,
)
from job.companions import (
    GRAPH_DEFS,
    TRAINING_GRAPH,
    architecture_of,
    configs_of,
    exported_assets,
    graph_of,
    is_same_model,
    unfrozen_graphs,
    with_texts,
)
from job.content import MEANINGS, Content, Kind
from job.errors import BadInput, JobError
from job.forms import best_forms, newest_steps
from job.naming import matches, may_match_below, told_apart
from job.nothing_found import nothing_found
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
}
"""What a file that stands alone claims to be; of these only a GraphDef can be whole."""

_ARCHIVES: Final = (Kind.TAR, Kind.ZIP)
_COMPRESSED: Final = (Kind.BZIP2, Kind.XZ)
"""Of these the first bytes do not say whether they hold an archive; their names do."""
_TAR_NAME: Final = re.compile(r".*\.(tar(\.(gz|bz2|xz))?|tgz|tbz2?|txz)", re.IGNORECASE | re.DOTALL)
_OTHER_ZIPS: Final = re.compile(
    r".*\.(aar|apk|docx|egg|epub|ipa|jar|kmz|mar|nupkg|od[pst]|pptx|vsix|war|whl|xlsx)", re.IGNORECASE | re.DOTALL
)
_SAVED_MODELS: Final = (Kind.SAVED_MODEL, Kind.SAVED_MODEL_TEXT)

_CLAIMS: Final = {
    ".pb": (),
    ".pbtxt": (Kind.TEXT, Kind.LABEL_MAP),
    ".h5": (Kind.HDF5,),
    ".hdf5": (Kind.HDF5,),
    ".keras": (Kind.KERAS_ZIP,),
    ".ckpt": (Kind.PYTORCH,),
    ".tar": (),
    ".zip": (Kind.KERAS_ZIP, Kind.PYTORCH),
}
"""Suffixes that promise a TF1 model, and what may bear them without breaking that promise."""


def discover(
    storage: Storage, *, only: str, all_forms: bool = False, under: str = "", most: int | None = None
) -> Listing:
    """Return what is under a source; artifacts whose name `only` does not fit are not mentioned.

    An artifact that cannot be converted is listed with its `problem`. Of several steps of one
    checkpoint the newest that `only` fits is taken, and of several forms of one model that which
    keeps most, unless `all_forms`. `under` is the name of the archive that `storage` was unpacked
    from; archives in it are left alone. No more than `most` objects are looked at. Raises `NoInput`
    if no artifact is left, and what `storage` raises.
    """
    survey = take_survey(storage, under, most=most)
    found = tuple(told_apart(with_texts(survey, tuple(_artifacts(survey)))))
    matching = [artifact for artifact in found if _is_wanted(artifact, only)]
    left_alone = tuple(_left_alone(survey, found))
    if not matching:
        raise nothing_found(survey, only, found, left_alone)
    newest, older = newest_steps(survey, matching)
    best, lesser = (newest, []) if all_forms else best_forms(survey, newest)
    taken = {stored.key for artifact in best for stored in artifact.objects}
    left = {one.key: one for one in (*left_alone, *older, *lesser) if one.key not in taken}
    return Listing(
        artifacts=tuple(sorted(best, key=lambda artifact: artifact.name)),
        left_alone=tuple(left[key] for key in sorted(left)),
    )


def _is_wanted(artifact: Artifact, only: str) -> bool:
    is_archive = artifact.format is Format.ARCHIVE
    return matches(artifact.name, only) or (is_archive and may_match_below(artifact.name, only))


def _artifacts(survey: Survey) -> Iterator[Artifact]:
    for root in survey.owned:
        yield _saved_model(survey, root)
    copies = copies_in(survey)
    for directory in survey.directories:
        checkpoints = find_checkpoints(survey, directory)
        yield from _checkpoints(survey, directory, checkpoints, copies)
        taken = {stored.key for checkpoint in checkpoints for stored in checkpoint.parts.values()}
        taken |= set(_graphs_taken(survey, directory, checkpoints))
        for name, stored in survey.directories[directory].items():
            part_of_model = (directory in survey.owned and name in SAVED_MODEL_FILES) or stored.key in taken
            if not part_of_model:
                yield from _file(survey, stored)


def _artifact(
    survey: Survey, format_: Format, entry: str, objects: Iterable[StoredObject], faults: Iterable[JobError]
) -> Artifact:
    """Return an artifact with the first of its faults."""
    problem = next((fault.to_record(stage="discover") for fault in faults), None)
    return Artifact(
        name=survey.name(entry),
        format=format_,
        entry=entry,
        objects=tuple(sorted({*objects}, key=lambda stored: stored.key)),
        problem=problem,
    )


def _saved_model(survey: Survey, root: str) -> Artifact:
    beside = survey.directories.get(root, {})
    mains = [beside[name] for name in SAVED_MODEL_FILES if name in beside]
    owned = survey.owned[root]
    if mains and not any(name.startswith("variables/") for name in owned) and survey.kind(mains[0]) in GRAPH_DEFS:
        return _artifact(survey, Format.GRAPH_DEF, mains[0].key, mains[:1], survey.faults(mains[0], GRAPH_DEFS))
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
        if survey.kind(main) in GRAPH_DEFS:
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


def _checkpoints(
    survey: Survey, directory: str, checkpoints: Sequence[Checkpoint], copies: Copies
) -> Iterator[Artifact]:
    """Yield one directory's checkpoints; data that is all alone may be what another one lacks."""
    missing = {checkpoint.prefix: missing_data(survey, checkpoint) for checkpoint in checkpoints}
    whole = [checkpoint for checkpoint in checkpoints if not checkpoint.is_stray]
    strays = [checkpoint.name + part for checkpoint in checkpoints if checkpoint.is_stray for part in checkpoint.parts]
    state = [stored for name, stored in survey.directories[directory].items() if name == "checkpoint"]
    graphs = unfrozen_graphs(survey, directory)
    companions = {one.prefix: _companions(survey, one, checkpoints, graphs, copies) for one in checkpoints}
    lent = set[StoredObject]().union(*companions.values())
    for checkpoint in whole if any(missing[checkpoint.prefix] for checkpoint in whole) else checkpoints:
        if checkpoint.parts.keys() == {".meta"} and lent.issuperset(checkpoint.parts.values()):
            continue  # it is the graph of those beside it, and no model of its own
        faults = _checkpoint_faults(survey, checkpoint, missing[checkpoint.prefix], strays)
        format_ = Format.META_GRAPH if ".meta" in checkpoint.parts else Format.CHECKPOINT
        objects = [*checkpoint.parts.values(), *state, *companions[checkpoint.prefix]]
        yield _artifact(survey, format_, checkpoint.prefix, objects, faults)


def _companions(
    survey: Survey,
    checkpoint: Checkpoint,
    beside: Sequence[Checkpoint],
    graphs: Sequence[StoredObject],
    copies: Copies,
) -> tuple[StoredObject, ...]:
    """Return what a checkpoint needs besides its own files: a graph where it has none, or several if they differ.

    Without any it is the engine that knows the model by its variables, or does not.
    """
    assets = exported_assets(survey, checkpoint.prefix)
    if ".meta" in checkpoint.parts:
        return assets
    graph = (
        graph_of(survey, checkpoint.prefix, graphs)
        or of_a_copy(survey, checkpoint, copies)
        or of_another_step(survey, checkpoint, beside)
        or graphs
    )
    return (*graph, *assets, *configs_of(survey, checkpoint.prefix))


def _checkpoint_faults(
    survey: Survey, checkpoint: Checkpoint, missing: Sequence[str], strays: Sequence[str]
) -> Iterator[JobError]:
    yield from file_faults(survey, checkpoint)
    if missing:
        yield incomplete(survey, checkpoint, missing, () if checkpoint.is_stray else strays)


def _graphs_taken(survey: Survey, directory: str, checkpoints: Sequence[Checkpoint]) -> Iterator[str]:
    """Yield the GraphDefs that are no models of their own: their variables' values are in the checkpoints beside."""
    graphs = unfrozen_graphs(survey, directory) if checkpoints else ()
    for checkpoint in checkpoints:
        if ".meta" in checkpoint.parts:
            yield f"{directory}{TRAINING_GRAPH}"
            yield from (graph.key for graph in graphs if is_same_model(graph.key, checkpoint.prefix))
        else:
            yield from (graph.key for graph in graph_of(survey, checkpoint.prefix, graphs) or graphs)


def _file(survey: Survey, stored: StoredObject) -> Iterator[Artifact]:
    """Yield the artifact that a file is by itself, or claims to be; nothing for any other file."""
    if stored.key not in survey.looks:
        return
    kind = survey.kind(stored)
    suffix = ".tar" if _TAR_NAME.fullmatch(stored.key) else PurePosixPath(stored.key).suffix.lower()
    if kind in GRAPH_DEFS:
        yield _artifact(survey, Format.GRAPH_DEF, stored.key, [stored], survey.faults(stored, GRAPH_DEFS))
    elif kind is Kind.KERAS_H5:
        yield _artifact(survey, Format.KERAS_H5, stored.key, [stored, *architecture_of(survey, stored)], ())
    elif _is_archive(kind, stored.key):
        if not survey.under:
            yield _artifact(survey, Format.ARCHIVE, stored.key, [stored], ())
    elif kind in _FORMATS:
        yield _artifact(survey, _FORMATS[kind], stored.key, [stored], survey.faults(stored, ()))
    elif suffix in _CLAIMS and kind not in _CLAIMS[suffix]:
        yield _artifact(survey, Format.UNREADABLE, stored.key, [stored], survey.faults(stored, ()))


def _is_archive(kind: Kind, key: str) -> bool:
    if kind in _COMPRESSED:
        return _TAR_NAME.fullmatch(key) is not None
    return kind in _ARCHIVES and _OTHER_ZIPS.fullmatch(key) is None


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
    if isinstance(look, Content):
        return _why_no_artifact(survey, name, stored, look)
    return look.what if look else why_not_read(name)


def _why_no_artifact(survey: Survey, name: str, stored: StoredObject, look: Content) -> str:
    meaning, remedy = MEANINGS[look.kind]
    if name == TRAINING_GRAPH and look.kind in GRAPH_DEFS:
        return "the graph of a training run, which TensorFlow writes beside its checkpoints"
    if look.has_variables:
        way = "take that checkpoint's .meta away, if it has one, and any other graph"
        return f"a graph whose values are in a checkpoint beside it; to convert this one, {way}"
    if survey.under and _is_archive(look.kind, stored.key):
        return f"it is {meaning} within an archive, which is not opened: {remedy}"
    if look.kind in (Kind.GZIP, *_COMPRESSED):  # it may well be a model
        return f"it is {meaning}: {remedy}"
    return f"it is {meaning}"
