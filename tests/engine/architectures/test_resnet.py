"""ResNets of every code base, each against what TensorFlow 1.15.5 said when it ran the original definition."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from job.engine.architectures import reading
from job.engine.architectures.catalogue import Kind
from job.engine.architectures.resnet import Norm, ResNet
from job.records import ArtifactOptions, Format
from job.requests import SourceRequest
from tests.architectures import originals
from tests.engine import models
from tests.engine.architectures.resnets import (
    NAMES,
    TOLERANCE,
    apart,
    furthest,
    logits,
    logits_in_keras,
    recognised,
    scheme_of,
)

v1 = tf.compat.v1

LARGE = [name for name in NAMES if re.search(r"_(101|152|full)", name)]
"""Deep ones, and those of full width: all are recognised, and these answer in slow tests."""

UNLIKELIER = ("_unpadded", "_same", "_stride_first")

CASES = {
    *("slim_v1_50", "slim_v1_50_classes1001", "slim_v1_101", "slim_v1_152"),
    *("slim_v2_50", "slim_v2_50_classes1000", "slim_v2_101"),
    *("keras_v1_50", "keras_v1_50_classes1001", "keras_v1_101", "keras_v1_152"),
    *("keras_v2_50", "keras_v2_50_classes1001", "keras_v2_101"),
    *("keras_objects_v1_50", "keras_objects_v2_50", "keras_objects_v1_50_checkpoint"),
    *("keras_old_50", "keras_old_50_classes1001", "keras_old_50_unpadded", "keras_old_50_same"),
    *(f"official_v1_{depth}" for depth in (18, 34, 50, 101, 152)),
    *(f"official_v2_{depth}" for depth in (18, 34, 50, 101)),
    *("official_v1_50_classes1000", "official_v2_50_classes1000"),
    *(f"tpu_v1_{depth}" for depth in (18, 34, 50, 101, 152)),
    *("tpu_v1_50_averages", "tpu_v2_18", "tpu_v2_50"),
    *("nvidia_2019_50", "nvidia_2019_50_classes1000"),
    *("nvidia_2020_50", "nvidia_2020_50_classes1000", "nvidia_2020_50_convolution"),
    *("benchmarks_v1_50", "benchmarks_v1_50_classes1000", "benchmarks_v1_101"),
    *("benchmarks_v1_5_50", "benchmarks_v2_50", "benchmarks_v2_101"),
    *(f"tensorpack_{depth}" for depth in (18, 34, 50, 101)),
    *("tensorpack_50_stride_first", "tensorpack_preact_18", "tensorpack_preact_50"),
}


def chosen(name: str) -> str:
    """Return the scheme that has to be named, since names and shapes are those of a likelier one."""
    return scheme_of(name) if name.endswith(UNLIKELIER) else ""


def hold(name: str) -> None:
    case = originals.case(name)
    assert furthest(case, *recognised(case, chosen(name))) <= TOLERANCE


def test_no_original_is_left_out() -> None:
    """There is an original of every scheme at every depth that is promised."""
    assert not CASES - set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_original_is_recognised(name: str) -> None:
    """Names and shapes alone tell what wrote a checkpoint, with all that training leaves beside the weights."""
    case = originals.case(name)
    proposal, inventory = recognised(case, chosen(name))
    assert proposal.scheme == scheme_of(name)
    assert set(inventory.keys.values()) == set(case.variables)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in LARGE])
def test_every_original_answers_as_in_tensorflow_1(name: str) -> None:
    """Logits agree at every size of image, of 224 pixels and of 225."""
    hold(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_large_originals_answer_as_in_tensorflow_1(name: str) -> None:
    """Deep networks, and those of full width, agree too."""
    hold(name)


@pytest.mark.parametrize(
    ("name", "mistake"),
    [
        ("slim_v1_50", {"pool": "zeros"}),
        ("slim_v1_50", {"stride_in": "first", "stride_at": "conv1", "pool": "zeros", "norm": Norm(1.001e-5)}),
        ("slim_v2_50", {"pool": "zeros"}),
        ("slim_v2_50", {"stride_in": "first"}),
        ("keras_v1_50", {"pool": "same"}),
        ("keras_v1_50", {"stride_at": "conv2"}),
        ("keras_v2_50", {"pool": "same"}),
        ("keras_v2_50", {"stride_in": "first"}),
        ("keras_old_50", {"norm": Norm(1.001e-5)}),
        ("keras_old_50", {"pool": "valid"}),
        ("keras_old_50_unpadded", {"last": "all"}),
        ("keras_old_50_unpadded", {"padding": "same"}),
        ("official_v1_50", {"padding": "same"}),
        ("official_v1_50", {"stride_at": "conv1"}),
        ("official_v1_50", {"norm": Norm(1e-3)}),
        ("official_v2_50", {"stride_in": "last"}),
        ("official_v2_50", {"preact": Norm(1e-3)}),
        ("nvidia_2019_50", {"padding": "same"}),
        ("nvidia_2020_50", {"padding": "fixed"}),
        ("benchmarks_v1_50", {"stride_at": "conv2"}),
        ("benchmarks_v1_5_50", {"stride_at": "conv1"}),
        ("benchmarks_v2_50", {"preact": Norm(1e-5, scale=False)}),
        ("tensorpack_50", {"padding": "fixed"}),
        ("tensorpack_50", {"stride_at": "conv1", "root_padding": (3, 2)}),
        ("tensorpack_18", {"pool": "zeros"}),
    ],
)
def test_a_single_mistake_shows(name: str, mistake: dict[str, Any]) -> None:
    """The recorded logits tell what names and shapes do not: pools, paddings, strides and epsilons."""
    case = originals.case(name)
    proposal, inventory = recognised(case, chosen(name))
    assert isinstance(proposal.build, ResNet)
    wrong = replace(proposal, build=replace(proposal.build, **mistake))
    assert wrong.fit_to(inventory).is_exact
    assert furthest(case, wrong, inventory) > 100 * TOLERANCE


def test_two_places_of_slims_strides_are_one() -> None:
    """A stride in the last unit is the same as one in the next unit's first convolution, as in Caffe."""
    case = originals.case("slim_v1_50")
    proposal, inventory = recognised(case)
    assert isinstance(proposal.build, ResNet)
    other = replace(proposal, build=replace(proposal.build, stride_in="first", stride_at="conv1"))
    assert furthest(case, other, inventory) <= TOLERANCE


def test_swapped_kernels_of_one_shape_show() -> None:
    """The first block's shortcut and third convolution fit each other's places, and do not answer alike."""
    case = originals.case("official_v1_50")
    proposal, inventory = recognised(case)
    swap = {"resnet_model/conv2d_1/kernel": "resnet_model/conv2d_4/kernel"}
    swap |= {other: one for one, other in swap.items()}
    names = proposal.naming()

    def swapped(path: str, kind: Kind) -> Mapping[str, str]:
        return {role: swap.get(name, name) for role, name in names(path, kind).items()}

    wrong = replace(proposal, naming=lambda: swapped)
    values = case.values(with_extras=False)
    said = logits(wrong, inventory, values, case.images(224))
    assert apart(said, case.answer("logits", 224)) > 100 * TOLERANCE


def test_swapped_channels_show() -> None:
    """RGB fed as BGR answers otherwise."""
    case = originals.case("slim_v1_50")
    said = logits(*recognised(case), case.values(with_extras=False), case.images(224)[..., ::-1])
    assert apart(said, case.answer("logits", 224)) > 100 * TOLERANCE


def test_averages_answer_as_the_original_with_its_averages() -> None:
    """With the values of its averages a network answers what TensorFlow 1.15.5 answered with these."""
    case = originals.case("tpu_v1_50_averages")
    values = case.values()
    averages = {name: values[f"{name}/ExponentialMovingAverage"] for name in case.variables}
    said = logits(*recognised(case), averages, case.images(224))
    assert apart(said, case.answer("averages_logits", 224)) <= TOLERANCE
    assert apart(said, case.answer("logits", 224)) > 0.1


def request_of(case: originals.Case, folder: Path, architecture: str = "") -> SourceRequest:
    prefix = case.write(folder)
    options = ArtifactOptions(architecture=architecture)
    return SourceRequest(format=Format.CHECKPOINT, directory=str(folder), entry=prefix.name, options=options)


@pytest.mark.parametrize("name", ["slim_v2_50", "official_v1_18", "keras_objects_v1_50", "keras_old_50_unpadded"])
def test_a_checkpoint_becomes_a_graph_of_tensorflow_1(name: str, tmp_path: Path) -> None:
    """The restated graph restores the checkpoint by its own saver, and answers in a session of TF1."""
    case = originals.case(name)
    request = request_of(case, tmp_path, chosen(name))
    loaded = reading.read(request, f"{tmp_path}/{request.entry}")
    loaded.meta_graph.meta_info_def.tensorflow_version = "1.15.5"
    signature = loaded.meta_graph.signature_def["serving_default"]
    with tf.Graph().as_default(), v1.Session() as session:
        v1.train.import_meta_graph(loaded.meta_graph).restore(session, loaded.checkpoint)
        for pixels in case.pixels:
            fed = {signature.inputs["images"].name: case.images(pixels)}
            said = session.run(signature.outputs["logits"].name, fed)
            assert apart(said, case.answer("logits", pixels)) <= TOLERANCE


@pytest.mark.parametrize("name", ["keras_old_50_unpadded", "tensorpack_preact_18", "official_v2_18"])
def test_a_checkpoint_becomes_a_keras_model(name: str) -> None:
    """The Keras 3 model of the same words answers alike at the largest size."""
    case = originals.case(name)
    pixels = max(case.pixels)
    proposal, inventory = recognised(case, chosen(name))
    said = logits_in_keras(proposal, inventory, case.values(with_extras=False), case.images(pixels))
    assert apart(said, case.answer("logits", pixels)) <= TOLERANCE


@pytest.mark.parametrize("name", ["tpu_v1_18", "tensorpack_preact_18"])
def test_a_checkpoint_becomes_a_saved_model(name: str, tmp_path: Path) -> None:
    """The lifted model, loaded from its SavedModel, answers as TensorFlow 1.15.5 did."""
    case = originals.case(name)
    model = models.converted(request_of(case, tmp_path / "source"), tmp_path)
    (images,) = model.signature().inputs
    said = model.answer({images.tensor: case.images(224)})
    (tensor,) = (spec.tensor for spec in model.signature().outputs if spec.key == "logits")
    assert apart(said[tensor], case.answer("logits", 224)) <= TOLERANCE


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(UNLIKELIER)])
def test_without_a_choice_the_likelier_is_taken(name: str) -> None:
    """Some names are the same whatever is padded, or has the stride, and the answers are not."""
    case = originals.case(name)
    proposal, inventory = recognised(case)
    assert scheme_of(name).startswith(f"{proposal.scheme}_")
    assert furthest(case, proposal, inventory) > 100 * TOLERANCE
