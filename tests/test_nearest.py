import time

import pytest

from job.nearest import COMPARED, meant, nearest

NODES = ["Max", "net/predictions/Softmax", "net/logits/BiasAdd"]


@pytest.mark.parametrize(
    ("name", "known", "close"),
    [
        ("serving_defualt", ["serving_default", "classify"], ["serving_default"]),
        ("SERVE", ["serve", "train"], ["serve"]),
        ("Softmx", NODES, ["net/predictions/Softmax"]),
        ("predictions/Softmax", NODES, ["net/predictions/Softmax"]),
        ("visoin/resnet", ["vision/resnet50", "text/bert"], ["vision/resnet50"]),
        ("nothing like it", NODES, []),
        ("", NODES, []),
        ("a", [], []),
    ],
)
def test_what_was_meant_is_found(name: str, known: list[str], close: list[str]) -> None:
    """Letters swapped, another case, scopes left out: what is most alike; and nothing where nothing is alike."""
    assert nearest(name, known) == close


def test_the_nearest_comes_first() -> None:
    """Where several are asked for, the whole name that is alike precedes one whose last part is."""
    known = ["other/model-1", "model-11", "model-1"]
    assert nearest("model-1", known, most=3) == ["model-1", "other/model-1", "model-11"]


def test_a_question_is_asked_only_where_there_is_one() -> None:
    """Else the reader is told what there is."""
    assert meant("gpus", ["auto", "cpu", "gpu"]) == "did you mean 'gpu'?"
    assert meant("x", ["auto", "cpu"], "the devices are auto, cpu") == "the devices are auto, cpu"


def test_a_large_graph_takes_a_moment() -> None:
    """A mistyped tensor of a graph with a hundred thousand nodes is answered in seconds."""
    names = (f"block{number}/unit_{number % 9}/convolution/Relu" for number in range(5 * COMPARED))
    start = time.process_time()
    assert nearest("block7/unit_7/convolutoin/Relu", names) == ["block7/unit_7/convolution/Relu"]
    assert time.process_time() - start < 15
