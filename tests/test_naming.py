import pytest

from job.naming import matches, name_of, told_apart
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
    ],
)
def test_name_is_made_of_the_entry_alone(entry: str, uri: str, name: str) -> None:
    """The entry names an artifact, the source's last part one that is the source; never an unsafe path."""
    assert name_of(entry, uri) == name


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
    ],
)
def test_glob_fits_the_name_or_a_directory_above(name: str, pattern: str, fits: object) -> None:
    """A pattern picks an artifact by its whole name or by a directory it lies in, and minds case."""
    assert matches(name, pattern) is fits


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
