"""MobileNet, Inception and VGG, each against what TensorFlow 1.15.5 said when it ran slim's own definition."""

from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from job.engine.architectures import mobilenet, reading, slim
from job.engine.architectures.base import Proposal
from job.engine.architectures.catalogue import Catalogue
from job.engine.architectures.inventory import Inventory, take
from job.engine.architectures.keras import KerasLayers
from job.engine.architectures.matching import Shape
from job.engine.architectures.outline import Outline
from job.errors import Incomplete
from tests.architectures import originals
from tests.engine.architectures import nets

TOLERANCE = 1e-5

SCHEMES = {
    "mobilenet_v1_025": "slim_mobilenet_v1",
    "mobilenet_v1_100": "slim_mobilenet_v1",
    "mobilenet_v2_035": "slim_mobilenet_v2",
    "mobilenet_v2_100": "slim_mobilenet_v2",
    "mobilenet_v2_140": "slim_mobilenet_v2",
    "inception_v3": "slim_inception_v3",
    "inception_v3_aux": "slim_inception_v3",
    "vgg_a_narrow": "slim_vgg_a",
    "vgg_16_narrow": "slim_vgg_16",
    "vgg_19_narrow": "slim_vgg_19",
    "vgg_16": "slim_vgg_16",
}
WHOLE = ("mobilenet_v1_100", "mobilenet_v2_100", "mobilenet_v2_140", "inception_v3", "vgg_16")
"""Of full width, or like another: all are recognised here, and these answer in slow tests."""

EACH = ("mobilenet_v1_025", "mobilenet_v2_035", "inception_v3_aux", "vgg_19_narrow")
"""One of each architecture."""


def stored(case: originals.Case) -> dict[str, Shape]:
    return {**case.variables, **case.extras}


def recognised(case: originals.Case) -> tuple[Proposal, Inventory]:
    inventory = take(stored(case))
    return reading.recognise(inventory, case.case), inventory


def said_in_keras(proposal: Proposal, values: nets.Arrays, images: NDArray[Any]) -> NDArray[Any]:
    shapes = {name: array.shape for name, array in values.items()}
    layers = KerasLayers(Catalogue(naming=proposal.naming(), stored=shapes), values, momentum=proposal.momentum)
    model = layers.model({"logits": proposal.build(layers)["logits"]}, proposal.scheme)
    return np.asarray(model(images, training=False))


def apart(said: NDArray[Any], expected: NDArray[Any]) -> float:
    return float(np.abs(said - expected).max() / np.abs(expected).max())


def hold(name: str) -> None:
    case = originals.case(name)
    proposal, _ = recognised(case)
    values = {key: value for key, value in case.values(with_extras=False).items() if key not in proposal.unread}
    for pixels in case.pixels:
        said = nets.answers(proposal, values, {"images": case.images(pixels)})["logits"]
        assert apart(said, case.answer("logits", pixels)) <= TOLERANCE
    said = said_in_keras(proposal, values, case.images(pixels))
    assert apart(said, case.answer("logits", pixels)) <= TOLERANCE


@pytest.mark.parametrize("name", SCHEMES)
def test_every_original_is_recognised(name: str) -> None:
    """Names and shapes alone tell what wrote a checkpoint, with all that training leaves beside the weights."""
    proposal, inventory = recognised(originals.case(name))
    assert proposal.scheme == SCHEMES[name]
    assert set(inventory.weights) == set(originals.case(name).variables)


@pytest.mark.parametrize("name", [name for name in SCHEMES if name not in WHOLE])
def test_every_original_answers_as_in_tensorflow_1(name: str) -> None:
    """Logits agree at every size of image as a graph, at the largest as a Keras model."""
    hold(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", WHOLE)
def test_whole_networks_answer_as_in_tensorflow_1(name: str) -> None:
    """Networks of full width agree too."""
    hold(name)


@pytest.mark.parametrize(
    ("module", "slip", "wrong"),
    [
        (mobilenet, "WINDOW", 8),
        (slim, "EPSILON", 1e-5),
        (mobilenet, "STRIDES_V1", (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 2, 1, 1)),
    ],
)
def test_a_single_slip_shows(module: ModuleType, slip: str, wrong: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recorded logits tell a wrong mean, a wrong epsilon and a wrong stride: what names and shapes do not."""
    monkeypatch.setattr(module, slip, wrong)
    case = originals.case("mobilenet_v1_025")
    said = nets.answers(recognised(case)[0], case.values(), {"images": case.images(225)})["logits"]
    assert apart(said, case.answer("logits", 225)) > 100 * TOLERANCE


def test_averages_answer_as_the_original_with_its_averages() -> None:
    """With the values of its averages a network answers what TensorFlow 1.15.5 answered with these."""
    case = originals.case("mobilenet_v1_100")
    values = case.values()
    averages = {name: values[f"{name}/ExponentialMovingAverage"] for name in case.variables}
    said = nets.answers(recognised(case)[0], averages, {"images": case.images(224)})["logits"]
    assert apart(said, case.answer("averages_logits", 224)) <= TOLERANCE
    assert apart(said, case.answer("logits", 224)) > 0.1


@pytest.mark.parametrize("name", EACH)
def test_every_single_tensor_matters(name: str) -> None:
    """A checkpoint that lacks any one tensor, whichever, is refused and the tensor named."""
    case = originals.case(name)
    proposal, inventory = recognised(case)
    for lost in inventory.weights:
        rest = {key: shape for key, shape in inventory.weights.items() if key != lost}
        assert proposal.fit_to(replace(inventory, weights=rest)).missing == (lost,)


@pytest.mark.parametrize("name", EACH)
def test_what_is_too_much_or_of_another_shape_is_refused_by_name(name: str) -> None:
    """One tensor more, and one that is wider than its layer's input, are in the error."""
    case = originals.case(name)
    with pytest.raises(Incomplete, match=r"but 1 that it has not: Logits/more; x\.ckpt"):
        reading.recognise(take({**stored(case), "Logits/more": (3,)}), "x.ckpt")
    kernel, shape = next((key, shape) for key, shape in case.variables.items() if shape[:2] == (1, 1))
    with pytest.raises(Incomplete, match=rf"but 1 of another shape: {kernel} "):
        reading.recognise(take({**stored(case), kernel: (*shape[:2], shape[2] + 1, shape[3])}), "x.ckpt")


@pytest.mark.parametrize("name", EACH)
def test_what_stands_before_the_names_is_left_to_the_checkpoint(name: str) -> None:
    """A network below ``module/``, as in a Hub module, is the same network."""
    case = originals.case(name)
    below = {f"module/{key}": shape for key, shape in case.variables.items()}
    assert reading.recognise(take(below), "x.ckpt").scheme == SCHEMES[name]


@pytest.mark.parametrize("name", EACH)
def test_a_network_without_its_head_answers_features(name: str) -> None:
    """A checkpoint of a feature extractor has no classes: the answer has the channels that the head would have read."""
    case = originals.case(name)
    (head,) = (key for key in case.variables if key.endswith(("/fc8/weights", "/Logits/Conv2d_1c_1x1/weights")))
    rest = {key: shape for key, shape in case.variables.items() if key.rpartition("/")[0] != head.rpartition("/")[0]}
    proposal = reading.recognise(take(rest), "x.ckpt")
    outline = Outline(Catalogue(naming=proposal.naming(), stored=rest))
    assert proposal.build(outline) == {"features": case.variables[head][2]}


def test_the_auxiliary_head_is_matched_and_left_out() -> None:
    """Inception's auxiliary head has to fit as all else has; the report says that the model is without it."""
    case = originals.case("inception_v3_aux")
    proposal, inventory = recognised(case)
    assert proposal.unread == {name for name in inventory.weights if "/AuxLogits/" in name}
    assert proposal.facts[-1] == "its auxiliary head, 10 tensors that only training uses, is left out"
    kernel = "InceptionV3/AuxLogits/Conv2d_2a_5x5/weights"
    other = {**inventory.weights, kernel: (3, 3, *case.variables[kernel][2:])}
    assert list(proposal.fit_to(replace(inventory, weights=other)).misshapen) == [kernel]


def test_facts_say_what_images_and_classes_are() -> None:
    """Preprocessing and the background class are said, since no tensor tells them."""
    assert recognised(originals.case("mobilenet_v2_035"))[0].facts == (
        "the original takes RGB scaled to [-1, 1]",
        "it has 1001 classes: class 0 is taken for the background, before ImageNet's 1000",
    )
    assert recognised(originals.case("vgg_16_narrow"))[0].facts == (
        "the original takes RGB from which (123.68, 116.78, 103.94) was subtracted",
        "it has 1000 classes: they are taken for ImageNet's, without a background",
    )
