"""One model that lies in one place in several forms, or as several steps: which of them is converted."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Final

from job.borrowed_graphs import STEP
from job.content import Content, Kind
from job.naming import own_name, words_of
from job.records import Artifact, Format, LeftAlone
from job.survey import Survey, is_text

_GRAPHS: Final = (".pb", ".pbtxt", ".meta")
_CHECKPOINTS: Final = (Format.META_GRAPH, Format.CHECKPOINT)
_RANKS: Final = {Format.SAVED_MODEL: 0, Format.META_GRAPH: 1, Format.CHECKPOINT: 1, Format.GRAPH_DEF: 2}
"""What keeps most is lowest: a SavedModel has signatures and variables, a frozen graph has neither."""

Choice = tuple[list[Artifact], list[LeftAlone]]
"""The artifacts that are taken, and the files of the others."""


def is_bare(artifact: Artifact) -> bool:
    """Tell whether a checkpoint is weights alone: no graph comes with it, or several that differ."""
    graphs = sum(stored.key.endswith(_GRAPHS) for stored in artifact.objects)
    return artifact.format is Format.CHECKPOINT and graphs != 1


def newest_steps(survey: Survey, artifacts: Iterable[Artifact]) -> Choice:
    """Take of a checkpoint's steps the newest."""
    taken: list[Artifact] = []
    steps: dict[str, list[tuple[int, Artifact]]] = {}
    for artifact in artifacts:
        step = STEP.fullmatch(artifact.entry)
        if step and artifact.format in _CHECKPOINTS:
            steps.setdefault(step[1], []).append((int(step[2]), artifact))
        else:
            taken.append(artifact)
    left_alone: list[LeftAlone] = []
    for series in steps.values():
        *older, newest = (artifact for _, artifact in sorted(series, key=lambda pair: pair[0]))
        taken.append(_or_an_older(newest, older))
        for artifact in older:
            way = f"pass --only '{artifact.name}'" + ("" if survey.under else " or name it as the source")
            left_alone += _left(artifact, newest, f"{newest.name} is newer; to convert this one, {way}")
    return taken, left_alone


def _or_an_older(newest: Artifact, older: Sequence[Artifact]) -> Artifact:
    """Return the newest step; where it is broken, as when a training was stopped, its remedy names a whole one."""
    whole = next((artifact for artifact in reversed(older) if artifact.problem is None), None)
    if newest.problem is None or whole is None:
        return newest
    remedy = f"{newest.problem.remedy}; or take an older step by --only '{whole.name}'"
    return replace(newest, problem=replace(newest.problem, remedy=remedy))


def best_forms(survey: Survey, artifacts: Sequence[Artifact]) -> Choice:
    """Take of one model's forms in one place the one that keeps most.

    Forms are of one model where their directory is the same and their names say the same once
    words such as ``frozen`` or ``ckpt`` are left out. Where there are two of a kind, it is not
    known which belongs to what, and all are taken.
    """
    lesser = {artifact.name: better for forms in _groups(artifacts) for artifact, better in _lesser(survey, forms)}
    left_alone: list[LeftAlone] = []
    for artifact in artifacts:
        if better := lesser.get(artifact.name):
            left_alone += _left(artifact, better, _why(artifact, better))
    return [artifact for artifact in artifacts if artifact.name not in lesser], left_alone


def _groups(artifacts: Iterable[Artifact]) -> Iterable[list[Artifact]]:
    groups: dict[tuple[str, str], list[Artifact]] = {}
    for artifact in artifacts:
        for place in _places(artifact):
            groups.setdefault(place, []).append(artifact)
    return groups.values()


def _places(artifact: Artifact) -> Iterator[tuple[str, str]]:
    """Yield where a form lies: the directory, and what the name says beside that it is a model.

    A SavedModel lies in its own directory, and in the one above if it is called ``saved_model`` or the like.
    """
    directory, _, name = artifact.entry.rpartition("/")
    if artifact.format is Format.SAVED_MODEL:
        yield artifact.entry, ""
        if {"saved", "savedmodel"} & words_of(name):
            yield directory, own_name(name, directory)
    elif artifact.format in _CHECKPOINTS:
        step = STEP.fullmatch(name)
        yield directory, own_name(step[1] if step else name, directory)
    elif artifact.format is Format.GRAPH_DEF:
        yield directory, own_name(PurePosixPath(name).stem, directory)


def _lesser(survey: Survey, forms: Sequence[Artifact]) -> Iterator[tuple[Artifact, Artifact]]:
    """Yield each form that need not be converted, with the one that is converted instead."""
    whole = (form for form in forms if form.problem is None and not is_bare(form))
    sound = sorted(whole, key=lambda form: _RANKS[form.format])
    twins = dict(_twins(survey, [form for form in sound if form.format is Format.GRAPH_DEF]))
    rest = [form for form in sound if form.name not in twins]
    yield from twins.values()
    ranks = [_RANKS[form.format] for form in rest]
    if rest and len(set(ranks)) == len(ranks):
        bare = [form for form in forms if form.format is Format.CHECKPOINT and form not in sound]
        yield from ((form, rest[0]) for form in (*rest[1:], *bare))


def _twins(survey: Survey, graphs: Sequence[Artifact]) -> Iterator[tuple[str, tuple[Artifact, Artifact]]]:
    """Yield the name of each graph as text that lies there as bytes too, with both."""
    looks = {graph.name: survey.looks.get(graph.entry) for graph in graphs}
    binary, text = (
        [graph for graph in graphs if isinstance(look := looks[graph.name], Content) and look.kind is kind]
        for kind in (Kind.GRAPH_DEF, Kind.GRAPH_DEF_TEXT)
    )
    for graph in text:
        twin = next((other for other in binary if same_graph(looks[graph.name], looks[other.name])), None)
        if twin is not None:
            yield graph.name, (graph, twin)


def same_graph(one: object, other: object) -> bool:
    """Tell whether two files hold the same graph, as far as their first nodes say."""
    if not isinstance(one, Content) or not isinstance(other, Content):
        return False
    count = min(len(one.nodes), len(other.nodes))
    return count > 0 and one.nodes[:count] == other.nodes[:count]


def _why(artifact: Artifact, better: Artifact) -> str:
    way = f"to convert this form too, pass --all-forms or --only '{artifact.name}'"
    if artifact.problem is not None:
        return f"{better.name} is a form of the same model, and this one cannot be converted: {artifact.problem.what}"
    if is_bare(artifact):
        return f"{better.name} is a form of the same model, and this one is weights without their graph; {way}"
    is_twin = artifact.format is better.format
    same = "holds the same graph" if is_twin else "is another form of this model and keeps more of it"
    return f"{better.name} {same}; {way}"


def _left(artifact: Artifact, instead: Artifact, reason: str) -> Iterator[LeftAlone]:
    """Yield an artifact's files but those that the other one has, and texts, which may be any model's."""
    kept = set(instead.objects)
    for stored in artifact.objects:
        if stored not in kept:
            yield LeftAlone(
                key=stored.key, reason="it goes with a model that is left alone" if is_text(stored) else reason
            )
