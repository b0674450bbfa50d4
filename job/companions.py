"""What lies beside a model and belongs to it: vocabularies, a Keras model's architecture, a checkpoint's graph."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import PurePosixPath
from typing import Final

from job.content import Content, Kind
from job.forms import same_graph
from job.naming import own_name
from job.records import Artifact, Format, StoredObject
from job.survey import Survey, is_text

GRAPH_DEFS: Final = (Kind.GRAPH_DEF, Kind.GRAPH_DEF_TEXT)
TRAINING_GRAPH: Final = "graph.pbtxt"
"""What TensorFlow's trainers write beside their checkpoints, each of which has its own ``.meta`` as a rule."""

_GRAPH_SUFFIXES: Final = (".pb", ".pbtxt")
_CONFIG: Final = re.compile(r"config[^/]*\.json$")
_TEXT_COUNT: Final = 100  # more is a data set
_SINGLE: Final = (Format.ARCHIVE, Format.UNREADABLE)
_ARCHITECTURES: Final = ("model", "architecture", "config", "model_config", "model_architecture")
"""Under which names people keep what ``to_json`` wrote, beside weights of another name."""


def with_texts(survey: Survey, artifacts: Sequence[Artifact]) -> Iterator[Artifact]:
    """Add to each sound artifact the text files in its directory and below that no other is nearer to.

    Graphs name their vocabularies by absolute paths of machines that are gone; the files
    themselves usually lie beside the model.
    """
    homes = {_home(artifact) for artifact in artifacts if _has_texts(artifact)}
    texts: dict[str, list[StoredObject]] = {}
    for directory, files in survey.directories.items():
        here = [stored for stored in files.values() if is_text(stored)]
        home = next((above for above in _upwards(directory) if above in homes), None) if here else None
        if home is not None:
            texts.setdefault(home, []).extend(here)
    for home, below in texts.items():
        texts[home] = sorted(below, key=lambda stored: (stored.key.count("/"), stored.key))[:_TEXT_COUNT]
    for artifact in artifacts:
        beside = texts.get(_home(artifact), []) if _has_texts(artifact) else []
        objects = sorted({*artifact.objects, *beside}, key=lambda stored: stored.key) if beside else ()
        yield replace(artifact, objects=tuple(objects)) if beside else artifact


def architecture_of(survey: Survey, weights: StoredObject) -> tuple[StoredObject, ...]:
    """Return the JSON file that goes with a Keras model's weights, by the usual names; nothing if none is there.

    A whole model needs none, which only its reader can tell; that also tells whether this is one.
    """
    directory, name = _split(weights.key)
    stem = PurePosixPath(name).stem
    files = survey.directories[directory]
    named = next((files[f"{one}.json"] for one in _stems(stem) if f"{one}.json" in files), None)
    if named is not None:
        return (named,)
    some = tuple(islice((stored for other, stored in files.items() if other.endswith(".json")), 2))
    return some if len(some) == 1 else ()


def configs_of(survey: Survey, prefix: str) -> tuple[StoredObject, ...]:
    """Return what says how a checkpoint's model was built, as ``bert_config.json`` does."""
    files = survey.directories[_split(prefix)[0]].values()
    return tuple(stored for stored in files if _CONFIG.search(stored.key) and is_text(stored))


def exported_assets(survey: Survey, prefix: str) -> tuple[StoredObject, ...]:
    """Return the assets of what TensorFlow's exporter of 2016 wrote, a checkpoint named ``export``."""
    directory, name = _split(prefix)
    return tuple(survey.directories.get(f"{directory}assets/", {}).values()) if name == "export" else ()


def unfrozen_graphs(survey: Survey, directory: str) -> tuple[StoredObject, ...]:
    """Return the GraphDefs in a directory that have variables, and so need a checkpoint for their values."""
    files = survey.directories[directory]
    return tuple(
        stored for name, stored in files.items() if name.endswith(_GRAPH_SUFFIXES) and _is_unfrozen(survey, stored)
    )


def graph_of(survey: Survey, prefix: str, graphs: Sequence[StoredObject]) -> tuple[StoredObject, ...]:
    """Return the one of `graphs` that goes with a checkpoint without a MetaGraph; nothing if that is not plain.

    It is the only one, else the one of the same name, else the training run's.
    """
    same = [graph for graph in graphs if is_same_model(graph.key, prefix)]
    training = [graph for graph in graphs if _split(graph.key)[1] == TRAINING_GRAPH]
    for choice in (graphs, same, training):
        looks = [survey.looks.get(graph.key) for graph in choice]
        if choice and all(look is looks[0] or same_graph(look, looks[0]) for look in looks):
            return tuple(choice[:1])
    return ()


def is_same_model(graph: str, prefix: str) -> bool:
    """Tell whether a graph's file and a checkpoint say by their names that they are of one model."""
    directory, name = _split(prefix)
    step = name.rpartition("-")
    checkpoint = step[0] if step[2].isdecimal() else name
    return own_name(PurePosixPath(graph).stem, directory) == own_name(checkpoint, directory)


def _is_unfrozen(survey: Survey, stored: StoredObject) -> bool:
    look = survey.looks.get(stored.key)
    return isinstance(look, Content) and look.kind in GRAPH_DEFS and look.has_variables and not look.damage


def _stems(stem: str) -> Iterator[str]:
    """Yield what the JSON file may be called, the likeliest first: ``net`` for ``net_weights`` or ``net.weights``."""
    yield stem
    for mark in ("_weights", "-weights", ".weights", "weights_", "weights-", "weights."):
        if mark in stem:
            yield stem.replace(mark, "")
            yield stem.replace("weights", "architecture")
            yield stem.replace("weights", "model")
    yield from _ARCHITECTURES


def _has_texts(artifact: Artifact) -> bool:
    return artifact.problem is None and artifact.format not in _SINGLE


def _home(artifact: Artifact) -> str:
    inside = f"{artifact.entry}/" if artifact.format is Format.SAVED_MODEL and artifact.entry else artifact.entry
    return inside[: inside.rfind("/") + 1]


def _split(key: str) -> tuple[str, str]:
    directory, slash, name = key.rpartition("/")
    return directory + slash, name


def _upwards(directory: str) -> Iterator[str]:
    """Yield a directory's key and those above it, the source's own, which is empty, last."""
    while directory:
        yield directory
        directory = directory[: directory.rfind("/", 0, -1) + 1]
    yield ""
