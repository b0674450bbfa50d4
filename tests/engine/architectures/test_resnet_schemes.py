"""What ResNets' names are, scheme by scheme: what is refused, what may stand before them, what is said of them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from job.engine.architectures import reading
from job.engine.architectures.base import Proposal
from job.engine.architectures.catalogue import Catalogue
from job.engine.architectures.inventory import Inventory, take
from job.engine.architectures.matching import Shape
from job.engine.architectures.outline import Outline
from job.errors import BadInput, Incomplete, UsageError
from tests.architectures import originals
from tests.engine.architectures.resnets import TOLERANCE, furthest, recognised, scheme_of

Shapes = Mapping[str, Shape]

EACH: Final = {
    "slim_v1_50": "resnet_v1_50/logits/weights",
    "slim_v2_50": "resnet_v2_50/logits/weights",
    "keras_v1_50": "probs/kernel",
    "keras_v2_50": "probs/kernel",
    "keras_old_50": "fc1000/kernel",
    "official_v1_50": "resnet_model/dense/kernel",
    "official_v2_50": "resnet_model/dense/kernel",
    "official_v1_18": "resnet_model/dense/kernel",
    "tpu_v1_50": "dense/kernel",
    "tpu_v2_50": "dense/kernel",
    "nvidia_2019_50": "resnet50_v1.5/output/dense/kernel",
    "nvidia_2020_50": "resnet50/output/dense/kernel",
    "benchmarks_v1_50": "v/cg/affine0/weights",
    "benchmarks_v1_5_50": "v0/cg/affine0/weights",
    "benchmarks_v2_50": "v0/cg/affine0/weights",
    "tensorpack_50": "linear/W",
    "tensorpack_18": "linear/W",
    "tensorpack_preact_50": "linear/W",
}
"""An original of each scheme, and its head's kernel."""

OTHERS: Final = [name for name in EACH if not name.startswith("tpu")]
"""Those whose scheme does not depend on what stands before their names."""

each = pytest.mark.parametrize("name", EACH)


def shapes_of(name: str) -> dict[str, Shape]:
    return dict(originals.case(name).variables)


def recognise(shapes: Shapes, scheme: str = "") -> Proposal:
    return reading.recognise(take(shapes), "x.ckpt", scheme)


@each
def test_a_missing_tensor_is_named(name: str) -> None:
    """A checkpoint that lacks any one tensor is refused by its own scheme, which names the tensor."""
    shapes = shapes_of(name)
    for lost in list(shapes)[::41]:
        rest = {key: shape for key, shape in shapes.items() if key != lost}
        with pytest.raises(Incomplete, match=rf"\({scheme_of(name)}\), but 1 missing: {re.escape(lost)}; x\.ckpt"):
            recognise(rest)


@each
def test_a_tensor_too_much_is_named(name: str) -> None:
    """One tensor that no layer reads is not passed over."""
    with pytest.raises(Incomplete, match=rf"\({scheme_of(name)}\), but 1 that it has not: more/kernel; x\.ckpt"):
        recognise(shapes_of(name) | {"more/kernel": (1, 1, 3, 3)})


@each
def test_a_tensor_of_another_shape_is_named(name: str) -> None:
    """One kernel that takes more channels than its layer is given, and one vector that is too long."""
    shapes = shapes_of(name)
    kernel = next(key for key, shape in shapes.items() if shape[:2] == (3, 3))
    vector = next(key for key, shape in shapes.items() if len(shape) == 1)
    for wrong in (kernel, vector):
        *before, last = shapes[wrong]
        other = (*before[:-1], before[-1] + 1, last) if before else (last + 1,)
        with pytest.raises(Incomplete, match=rf"\({scheme_of(name)}\), but 1 of another shape: {re.escape(wrong)} \["):
            recognise(shapes | {wrong: other})


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("slim_v1_50", "/block4/|/logits/"),
        ("slim_v2_50", "/block4/|/logits/"),
        ("keras_v1_50", "^conv5_|^probs/"),
        ("nvidia_2020_50", "/btlnck_block_3_|/output/"),
        ("tensorpack_50", "^group3/|^linear/"),
        ("benchmarks_v1_50", "/resnet_v1(13|14|15)/|/affine0/"),
    ],
)
def test_a_network_that_was_cut_is_refused(name: str, last: str) -> None:
    """Three groups of four, as detectors take them, do not tell which of them halves the image."""
    shapes = {key: shape for key, shape in shapes_of(name).items() if not re.search(last, key)}
    assert len(shapes_of(name)) - len(shapes) > 40
    with pytest.raises(Incomplete, match=r"missing: "):
        recognise(shapes)


@each
def test_a_name_of_another_scheme_is_refused(name: str) -> None:
    """A tensor under the name that another code base gives it is both missing and too much."""
    shapes = shapes_of(name)
    mine = list(shapes)[len(shapes) // 2]
    other = next(key for key in shapes_of("slim_v1_50" if "slim" not in name else "keras_v1_50"))
    renamed = {other if key == mine else key: shape for key, shape in shapes.items()}
    with pytest.raises(Incomplete, match=rf"but 1 missing: {re.escape(mine)}; 1 that it has not: {re.escape(other)}"):
        recognise(renamed)


def test_names_of_no_scheme_resemble_none() -> None:
    """The shapes alone of a whole network say nothing."""
    shapes = {f"weight_{number}": shape for number, shape in enumerate(shapes_of("slim_v1_50").values())}
    with pytest.raises(Incomplete, match="it resembles none; of its 267 tensors the first are weight_0"):
        recognise(shapes)


@pytest.mark.parametrize("before", ["module/", "FeatureExtractor/", "tower_0/", "import/", "a/b/"])
@pytest.mark.parametrize("name", OTHERS)
def test_what_stands_before_the_names_is_left_to_the_checkpoint(name: str, before: str) -> None:
    """A network below any scope is the same network."""
    below = {f"{before}{key}": shape for key, shape in shapes_of(name).items()}
    assert recognise(below).scheme == scheme_of(name)


@each
def test_a_network_without_its_head_answers_features(name: str) -> None:
    """A feature extractor has no classes: its answer has the channels that the head would have read."""
    shapes = shapes_of(name)
    head = EACH[name].rpartition("/")[0] + "/"
    rest = {key: shape for key, shape in shapes.items() if not key.startswith(head)}
    assert len(rest) == len(shapes) - 2
    proposal = recognise(rest)
    outline = Outline(Catalogue(naming=proposal.naming(), stored=rest))
    assert proposal.build(outline) == {"features": shapes[EACH[name]][-2]}
    assert "no classifier" in proposal.facts[-1]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("slim_v1_50", "1000 classes: they are taken for ImageNet's, without a background"),
        ("slim_v1_50_classes1001", "1001 classes: class 0 is taken for the background"),
        ("nvidia_2020_50_convolution", "1001 classes"),
    ],
)
def test_classes_and_their_offset_are_said(name: str, said: str) -> None:
    """The size of the last layer tells whether there is a background."""
    proposal, _ = recognised(originals.case(name))
    assert said in proposal.facts[-1]


def test_another_number_of_classes_is_only_counted() -> None:
    """Of ten classes it is not known what they are."""
    shapes = shapes_of("tensorpack_18")
    ten = shapes | {"linear/W": (shapes["linear/W"][0], 10), "linear/b": (10,)}
    assert recognise(ten).facts[-1] == "it has 10 classes"


@each
def test_preprocessing_is_said(name: str) -> None:
    """No tensor tells what images a network was trained on."""
    proposal, _ = recognised(originals.case(name))
    assert re.match("the original takes (RGB|BGR) ", proposal.facts[0])


@pytest.mark.parametrize(("name", "other"), [("official_v1_50", "tpu"), ("tpu_v2_50", "official")])
def test_the_official_and_the_tpus_are_told_to_be_alike(name: str, other: str) -> None:
    """They compute the same; the other is named with what it takes."""
    case = originals.case(name)
    proposal, inventory = recognised(case)
    scheme = f"{other}_resnet_{scheme_of(name).split('_', 2)[2]}"
    assert scheme in proposal.facts[1]
    assert furthest(case, reading.recognise(inventory, "x.ckpt", scheme), inventory) <= TOLERANCE


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("tpu_v1_50", r"\(shortcut, 1x1, 3x3, 1x1\), .* strides are in the 3x3, "),
        ("official_v2_18", r"\(shortcut, 3x3, 3x3\), .* strides are in the first 3x3, "),
    ],
)
def test_the_order_that_numbers_are_taken_for_is_said(name: str, order: str) -> None:
    """Blocks of two convolutions and of three have orders of their own."""
    (assumption,) = recognised(originals.case(name))[0].assumptions
    assert re.search(order, assumption)


@pytest.mark.parametrize("name", ["keras_old_50", "tensorpack_50", "nvidia_2019_50", "nvidia_2020_50"])
def test_what_fits_as_well_is_named_and_can_be_chosen(name: str) -> None:
    """Where two schemes fit and differ, the likelier is taken, and its assumption names the other's for the user."""
    proposal, inventory = recognised(originals.case(name))
    (assumption,) = proposal.assumptions
    others = re.findall(r"\w+_resnet_50\w*", assumption)
    assert others
    for other in others:
        assert reading.recognise(inventory, "x.ckpt", other).build != proposal.build


def test_a_chosen_scheme_that_does_not_fit_is_refused() -> None:
    """The error lists what differs from the scheme that was named, however near another one is."""
    wanted = r"the checkpoint is not slim's ResNet-50 v1 \(slim_resnet_v1_50\): 265 missing: .*; 320 that it has not: "
    with pytest.raises(Incomplete, match=wanted):
        recognise(shapes_of("keras_old_50"), "slim_resnet_v1_50")


def test_a_scheme_that_is_none_is_refused_with_those_that_are() -> None:
    """A wrong name, and one of another depth, are answered by the right ones."""
    with pytest.raises(UsageError, match=r"no architecture is called slim_resnet_v1_101 .* slim_resnet_v1_50, "):
        recognise(shapes_of("slim_v1_50"), "slim_resnet_v1_101")


def test_a_second_model_in_one_graph_is_recognised() -> None:
    """Keras puts a number behind each of its layers' names."""
    second = {re.sub("/", "_1/", key): shape for key, shape in shapes_of("keras_v1_50").items()}
    assert recognise(second).scheme == "keras_resnet_50"


def numbered(blocks: list[str]) -> dict[str, Shape]:
    """Return the shapes of the old Keras' ResNet50 by its layers' numbers, in the order of layers given."""
    shapes = shapes_of("keras_old_50")
    words = [key.split("/") for key in shapes]
    return {f"layer_with_weights-{blocks.index(layer)}/{word}": shapes[f"{layer}/{word}"] for layer, word in words}


def old_layers(first: tuple[str, ...]) -> list[str]:
    """Return the layers of the old Keras' ResNet50, `first` being the order in each group's first block."""
    names = ["conv1", "bn_conv1"]
    for group, count in zip("2345", (3, 4, 6, 3), strict=True):
        names += [layer.replace("2a_", f"{group}a_", 1) for layer in first]
        for letter in "bcdef"[: count - 1]:
            plain = [layer for layer in first if not layer.endswith("branch1")]
            order = sorted(plain, key=lambda layer: (layer[-1], layer.startswith("bn")))
            names += [layer.replace("2a_", f"{group}{letter}_", 1) for layer in order]
    return [*names, "fc1000"]


OLD_ORDER: Final = (
    *("res2a_branch2a", "bn2a_branch2a", "res2a_branch2b", "bn2a_branch2b"),
    *("res2a_branch2c", "res2a_branch1", "bn2a_branch2c", "bn2a_branch1"),
)
"""Of ``model.layers`` in keras-applications 1.0.6, as TensorFlow 1.15.5 printed it."""

NEW_ORDER: Final = (*OLD_ORDER[:4], "res2a_branch1", "res2a_branch2c", "bn2a_branch1", "bn2a_branch2c")
"""The same of 1.0.8, by the names of 1.0.6."""


@pytest.mark.parametrize(("order", "scheme"), [(OLD_ORDER, "keras_old"), (NEW_ORDER, "keras")])
def test_numbers_alone_are_told_apart_by_their_order(order: tuple[str, ...], scheme: str) -> None:
    """Without names the two Keras' orders are not mixed up: their shapes differ after the first group."""
    proposal = recognise(numbered(old_layers(order)))
    assert proposal.scheme == f"{scheme}_resnet_50_by_number"
    assert "order in which Keras sorts" in proposal.assumptions[0]


@pytest.mark.parametrize("name", ["keras_objects_v1_50", "keras_objects_v2_50", "keras_objects_v1_50_checkpoint"])
def test_numbers_alone_answer_as_the_names_do(name: str) -> None:
    """An object-based checkpoint whose object graph has no names is the same model."""
    case = originals.case(name)
    inventory = take({**case.variables, **case.extras})
    proposal = reading.recognise(inventory, "x.ckpt")
    assert proposal.scheme == f"{scheme_of(name)}_by_number"
    assert furthest(case, proposal, inventory) <= TOLERANCE


def test_a_layer_without_a_name_leaves_all_to_numbers() -> None:
    """Names are taken where there is one for every weight, so that none is lost."""
    keys: Inventory = take({"a/kernel": (1,), "b/kernel": (1,)}, {"a/kernel": "x/kernel"})
    assert set(keys.weights) == {"a/kernel", "b/kernel"}
    assert set(take({"a/kernel": (1,), "b/kernel": (1,)}, {"a/kernel": "x", "b/kernel": "x"}).weights) == set(keys.keys)


def test_a_damaged_object_graph_is_told(tmp_path: Path) -> None:
    """It is no protobuf: the checkpoint is damaged, and not one without names."""
    prefix = originals.write({"a/kernel": np.zeros(1), originals.OBJECT_GRAPH: b"\xff"}, tmp_path)
    with pytest.raises(BadInput, match="record of its objects, _CHECKPOINTABLE_OBJECT_GRAPH, is damaged: "):
        reading.inventory_of(str(prefix), tmp_path)


def test_blocks_counted_from_two_are_recognised() -> None:
    """One version of NVIDIA's counts the blocks of its third group from 2."""
    later = {
        re.sub(r"btlnck_block_3_(\d)", lambda found: f"btlnck_block_3_{int(found[1]) + 1}", key): shape
        for key, shape in shapes_of("nvidia_2019_50").items()
    }
    assert recognise(later).scheme == "nvidia_resnet_50_2019"
