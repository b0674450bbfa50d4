import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest

from job.engine.architectures import bert, reading
from job.engine.architectures.base import Build, Proposal
from job.engine.architectures.catalogue import Catalogue
from job.engine.architectures.inventory import Inventory, take
from job.engine.architectures.keras import KerasLayers
from job.engine.keras.proving import quietly
from tests.architectures import originals, weights
from tests.engine.architectures import nets, plain_keras

TOLERANCE = 1e-5


@dataclass(frozen=True)
class Case:
    """An architecture with values for its tensors and inputs for it."""

    proposal: Proposal
    values: nets.Arrays
    feeds: nets.Arrays

    def model(self) -> keras.Model:
        """Return it as Keras has it."""
        stored = take({name: array.shape for name, array in self.values.items()}).weights
        layers = KerasLayers(
            Catalogue(naming=self.proposal.naming(), stored=stored), self.values, momentum=self.proposal.momentum
        )
        return layers.model(self.proposal.build(layers), self.proposal.scheme)


def tiny(build: Build = nets.network) -> Case:
    """Return the network of all words for images."""
    (proposal,) = nets.family(build)(Inventory(weights={}, keys={}, extras={}))
    return Case(proposal, nets.values_of(), {"images": weights.images_of(3, 33)})


def text(head: str) -> Case:
    """Return a small BERT, which says every word for texts, and texts of which one is nothing but masked."""
    original = originals.case(f"bert_tiny_{head}")
    values = original.values(with_extras=False)
    inventory = Inventory(weights=original.variables, keys={}, extras={}, config=json.loads(original.config))
    random = np.random.default_rng(0)
    feeds = {
        "input_ids": random.integers(0, 99, [4, 11], np.int32),
        "input_mask": np.array([[1] * 11, [1] * 5 + [0] * 6, [1] + [0] * 10, [0] * 11], np.int32),
        "segment_ids": random.integers(0, 2, [4, 11], np.int32),
    }
    return Case(next(bert.propose(inventory)), values, feeds)


@dataclass(frozen=True)
class Used:
    """What a user of the file saw: answers by key, and what `plain_keras` prints."""

    answers: nets.Arrays
    ours: list[str]
    layers: list[str]
    trainable: list[str]
    unmoved: list[str]


def used(case: Case, folder: Path) -> Used:
    """Save a model and use it in a process that knows only Keras."""
    with quietly():
        case.model().save(folder / "model.keras")
    np.savez(folder / "inputs.npz", **case.feeds)  # type: ignore[arg-type]  # of NumPy's stub
    command = [sys.executable, "-I", plain_keras.__file__, "model.keras", "inputs.npz"]
    said = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    with np.load(folder / "answers.npz") as arrays:
        return Used(dict(arrays), **json.loads(said.stdout.splitlines()[-1]))


CASES: dict[str, Callable[[], Case]] = {
    "images": tiny,
    "words": lambda: text("pretraining"),
    "answers": lambda: text("squad"),
}


@pytest.fixture(scope="module", params=CASES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, Used]:
    """Return each network with what a user saw of it."""
    case = CASES[request.param]()
    return case, used(case, tmp_path_factory.mktemp(request.param))


@pytest.mark.slow
def test_it_loads_and_answers_where_only_keras_is(pair: tuple[Case, Used]) -> None:
    """A saved model, loaded by Keras alone in another process, gives the TF1 graph's answers under the same keys."""
    case, seen = pair
    assert seen.ours == []
    wanted = nets.answers(case.proposal, case.values, case.feeds)
    assert seen.answers.keys() == wanted.keys()
    for key, answer in wanted.items():
        worst = np.abs(seen.answers[key] - answer).max() / np.abs(answer).max()
        assert worst < TOLERANCE, key


@pytest.mark.slow
def test_a_step_of_training_moves_all_weights(pair: tuple[Case, Used]) -> None:
    """Gradients reach every weight, and batch norm moves its statistics."""
    _, seen = pair
    assert seen.unmoved == []


@pytest.mark.slow
def test_layers_are_named_by_their_paths(pair: tuple[Case, Used]) -> None:
    """Each layer with weights has its path's name, and all but statistics are trainable."""
    case, seen = pair
    moving = {path for path in case.values if path.endswith(("/mean", "/variance"))}
    assert len(seen.trainable) == len(case.values) - len(moving)
    expected = {"conv1", "conv1_norm", "block_depthwise", "block_norm", "block_conv2", "head"}
    assert set(seen.layers) == expected if moving else {"layer0_attention_query", "layer1_norm"} < set(seen.layers)


def test_layers_without_weights_are_named_by_what_they_follow() -> None:
    """So that a user finds a block's output by name in every such model."""
    names = [layer.name for layer in tiny().model().layers]
    assert names[:6] == ["images", "images_pad", "conv1", "conv1_norm", "conv1_norm_relu", "conv1_norm_relu_max_pool"]
    assert "conv1_norm_relu_max_pool_2" in names


@pytest.mark.slow
def test_a_single_output_is_no_dictionary(tmp_path: Path) -> None:
    """What is alone has no key, as in any Keras model."""
    seen = used(tiny(nets.logits), tmp_path)
    assert list(seen.answers) == ["answer"]


def test_batch_norm_is_the_originals() -> None:
    """Epsilon is the architecture's and momentum the scheme's."""
    layer = tiny().model().get_layer("conv1_norm")
    assert (layer.epsilon, layer.momentum) == (1e-3, 0.9)


DECAYS = {
    case.case: float(found[1])
    for case in originals.cases()
    if (found := re.match(r"epsilon \S+, decay ([\d.]+\d)", case.facts.get("batch_norm", "")))
}
"""Of those originals whose batch norms are all alike."""


@pytest.mark.parametrize("name", DECAYS)
def test_momentum_is_the_originals(name: str) -> None:
    """Whoever goes on with the training has moving statistics that move as fast as they did."""
    case = originals.case(name)
    proposal = reading.recognise(take({**case.variables, **case.extras}), name)
    assert proposal.momentum == DECAYS[name]


def test_a_users_settings_of_keras_change_nothing() -> None:
    """Whoever has channels first in keras.json gets the same model."""
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        layers = tiny().model().layers
    finally:
        keras.config.set_image_data_format(before)
    formats = [layer.data_format for layer in layers if hasattr(layer, "data_format")]
    assert len(formats) == 8
    assert set(formats) == {"channels_last"}
