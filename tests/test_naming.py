from fnmatch import fnmatchcase

import pytest

from job.naming import matches, may_match_below, name_of, own_name, told_apart
from job.records import Artifact, Format


def _artifact(name: str, format_: Format) -> Artifact:
    return Artifact(name=name, format=format_, entry=name, objects=())


@pytest.mark.parametrize(
    ("entry", "uri", "name"),
    [
        ("case/frozen.pb", "s3://b/models", "case/frozen.pb"),
        ("musicnn/", "s3://b/models", "musicnn"),
        ("", "s3://b/models/resnet/", "resnet"),
        ("", "s3://b", "b"),
        ("", "/", "model"),
        ("", ".", "model"),
        ("a//../x\n.pb", "s3://b", "a/%/%2E%2E/x%0A.pb"),
        ("modèle/été.pb", "s3://b", "modèle/été.pb"),
        ("a\\b", "s3://b", "a%5Cb"),
        ("\x1b[2J\udcff", "s3://b", "%1B[2J%FF"),
    ],
)
def test_name_is_made_of_the_entry_alone(entry: str, uri: str, name: str) -> None:
    """The entry names an artifact, the source's last part one that is the source; never an unsafe path."""
    assert name_of(entry, uri) == name


@pytest.mark.parametrize("key", ["a" * 1024, "é" * 500, "/".join(["a" * 50] * 20), "模" * 341])
def test_long_keys_have_short_names(key: str) -> None:
    """A destination can hold what the longest key names, with files below it; two keys that begin alike stay two."""
    name, other = name_of(f"{key}b", "s3://b"), name_of(f"{key}c", "s3://b")
    assert name != other
    assert name[:40] == key[:40]
    assert len(name.encode()) <= 700
    assert max(len(part.encode()) for part in name.split("/")) <= 200


@pytest.mark.parametrize(
    ("name", "pattern", "fits"),
    [
        ("resnet50/frozen.pb", "resnet*", True),
        ("resnet50/v1/frozen.pb", "resnet50", True),
        ("resnet50/v1/frozen.pb", "*/v1", True),
        ("resnet50/frozen.pb", "*.pb", True),
        ("resnet50/frozen.pb", "ResNet*", False),
        ("resnet50/frozen.pb", "frozen.pb", False),
        ("resnet50/frozen.pb", "resnet", False),
        ("net[1]/a.pb", "net[1]/a.pb", True),
        ("net[1]/a.pb", "net[1]", True),
        ("net[1]/a.pb", "net[12]", False),
    ],
)
def test_glob_fits_the_name_or_a_directory_above(name: str, pattern: str, fits: object) -> None:
    """A pattern picks an artifact by its whole name or by a directory it lies in, and minds case."""
    assert matches(name, pattern) is fits


@pytest.mark.parametrize(
    ("pattern", "may"),
    [
        ("*", True),
        ("*.pb", True),
        ("a/ssd.tgz/*", True),
        ("a/ssd.tgz/model", True),
        ("a/s*/model", True),
        ("a/ssd.tgz", False),
        ("a/ssd", False),
        ("b*", False),
        ("a/ssd.tgzz/*", False),
    ],
)
def test_glob_that_may_fit_what_is_in_an_archive(pattern: str, may: object) -> None:
    """What an archive holds is not known before it is opened; only what cannot fit it keeps it closed."""
    assert may_match_below("a/ssd.tgz", pattern) is may
    inner = [f"a/ssd.tgz/{name}" for name in ("model", "x/frozen.pb")]
    assert may or not any(fnmatchcase(name, pattern) for name in inner)


@pytest.mark.parametrize(
    ("name", "directory", "own"),
    [
        ("frozen_inference_graph", "ssd", ""),
        ("model.ckpt", "ssd", ""),
        ("saved_model", "", ""),
        ("resnet_v1_50", "zoo", "resnet_v1_50"),
        ("resnet_v1_50_frozen", "zoo", "resnet_v1_50"),
        ("ResNet-V1-50_inf_graph", "zoo", "resnet_v1_50"),
        ("resnet_v1_50.ckpt", "zoo/resnet_v1_50/", ""),
        ("model_a", "zoo", "a"),
        ("model2", "zoo", "model2"),
    ],
)
def test_name_without_the_words_that_every_model_has(name: str, directory: str, own: str) -> None:
    """What is left tells models apart; nothing is left where a name says no more than its directory's."""
    assert own_name(name, directory) == own


def test_equal_names_get_their_formats_added() -> None:
    """Only names that several artifacts have are changed, and never into one that is taken."""
    artifacts = [
        _artifact("a", Format.SAVED_MODEL),
        _artifact("a", Format.META_GRAPH),
        _artifact("a.meta_graph", Format.GRAPH_DEF),
        _artifact("b", Format.GRAPH_DEF),
    ]
    names = [artifact.name for artifact in told_apart(artifacts)]
    assert names == ["a.saved_model", "a.meta_graph_", "a.meta_graph", "b"]


def test_archive_is_told_from_a_directory_of_its_name() -> None:
    """A bucket may hold both ``zoo.zip`` and ``zoo.zip/m.pb``: what is in the archive must not meet the other."""
    artifacts = [_artifact("zoo.zip", Format.ARCHIVE), _artifact("zoo.zip/m.pb", Format.GRAPH_DEF)]
    assert [artifact.name for artifact in told_apart(artifacts)] == ["zoo.zip.archive", "zoo.zip/m.pb"]
