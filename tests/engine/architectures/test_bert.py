"""BERT against what google-research's own code said under TensorFlow 1.15.5."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from job.engine.architectures import reading
from job.engine.architectures.catalogue import Catalogue
from job.engine.architectures.graph import GraphLayers
from job.engine.formats.base import LoadedMetaGraph
from job.errors import BadInput, Incomplete
from job.records import ArtifactOptions, Format
from job.requests import SourceRequest
from tests.architectures import originals
from tests.architectures.originals import Case

v1 = tf.compat.v1

CASES = [case.case for case in originals.cases("bert")]
QUICK = [name for name in CASES if "base" not in name]
TOLERANCE = 1e-5


def read(folder: Path, architecture: str = "") -> LoadedMetaGraph:
    options = ArtifactOptions(architecture=architecture)
    request = SourceRequest(format=Format.CHECKPOINT, directory=str(folder), entry="model.ckpt", options=options)
    return reading.read(request, str(folder / "model.ckpt"))


def written(case: Case, folder: Path, *, config: str | None = None) -> Path:
    """Write the checkpoint and, beside it, its configuration or another."""
    case.write(folder)
    (folder / "bert_config.json").write_text(case.config if config is None else config)
    return folder


def answers(loaded: LoadedMetaGraph, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    signature = loaded.meta_graph.signature_def["serving_default"]
    assert set(signature.inputs) == set(feeds)
    with tf.Graph().as_default(), v1.Session() as session:
        tf.import_graph_def(loaded.meta_graph.graph_def, name="")
        saver = loaded.meta_graph.saver_def
        session.run(saver.restore_op_name, {saver.filename_tensor_name: loaded.checkpoint})
        fetches = {key: info.name for key, info in signature.outputs.items()}
        said: dict[str, NDArray[Any]] = session.run(fetches, {signature.inputs[key].name: feeds[key] for key in feeds})
    return said


def apart(said: NDArray[Any], expected: NDArray[Any]) -> float:
    return float(np.abs(said.reshape(expected.shape) - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("name", CASES)
def test_answers_are_the_originals(name: str, tmp_path: Path) -> None:
    """Every output of every head agrees with the original, masked words and second segments among the inputs."""
    case = originals.case(name)
    recorded = case.recorded()
    feeds = {key: recorded[key] for key in case.inputs}
    assert 0 < feeds["input_mask"].mean() < 1
    said = answers(read(written(case, tmp_path)), feeds)
    assert set(case.outputs) <= set(said)
    for key, (array,) in case.outputs.items():
        assert apart(said[key], recorded[array]) <= TOLERANCE, key


@pytest.mark.parametrize("name", QUICK)
def test_every_tensor_is_used_once(name: str, tmp_path: Path) -> None:
    """The graph restores exactly the model's variables, each from the tensor of its name; slots are left alone."""
    case = originals.case(name)
    loaded = read(written(case, tmp_path))
    variables = [node.name for node in loaded.meta_graph.graph_def.node if node.op == "VarHandleOp"]
    assert sorted(variables) == sorted(case.variables)


@pytest.mark.parametrize(("heads", "least"), [(2, 1e-3), (8, 1e-3)])
def test_heads_come_from_the_configuration(heads: int, least: float, tmp_path: Path) -> None:
    """Another number of heads answers differently: shapes do not tell it, the file beside the checkpoint does."""
    case = originals.case("bert_tiny")
    recorded = case.recorded()
    config = json.dumps(json.loads(case.config) | {"num_attention_heads": heads})
    said = answers(read(written(case, tmp_path, config=config)), {key: recorded[key] for key in case.inputs})
    assert apart(said["sequence_output"], recorded["sequence_output"]) > least


def test_without_a_configuration_the_heads_are_an_assumption(tmp_path: Path) -> None:
    """Heads of 64 are taken, as in every published BERT, and a warning says so."""
    case = originals.case("bert_tiny")
    case.write(tmp_path)
    assumed = [one for one in read(tmp_path).findings if one.code == "architecture_assumed"]
    assert any("64 wide" in one.cause and one.severity == "warning" for one in assumed)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ('{"num_attention_heads": 5}', "5 heads, which do not divide 64"),
        ('{"num_attention_heads": 4, "hidden_act": "swish"}', "an activation that BERT has not: 'swish'"),
        ('{"num_attention_heads": "4"}', "'4' heads"),
        ('{"num_attention_heads": 0}', "0 heads"),
        ('{"num_attention_heads"', "no JSON"),
        ('{"num_attention_heads": 4, "hidden_size": 768}', "another's: its hidden_size is 768, not 64"),
        ('{"num_attention_heads": 4, "num_hidden_layers": 12}', "another's: its num_hidden_layers is 12, not 2"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(config: str, told: str, tmp_path: Path) -> None:
    """Heads that do not divide the channels, unknown activations and broken files end in one line."""
    with pytest.raises(BadInput, match=told):
        read(written(originals.case("bert_tiny"), tmp_path, config=config))


def test_configurations_that_differ_are_refused(tmp_path: Path) -> None:
    """Of two that say another number of heads neither is taken; what is no BERT's, or no JSON, is none of them."""
    case = originals.case("bert_tiny")
    (written(case, tmp_path) / "train_config.json").write_text("{ // of a tool")
    (tmp_path / "other_config.json").write_text('["num_attention_heads"]')
    assert "heads of 16" in " ".join(one.cause for one in read(tmp_path).findings)
    (tmp_path / "config.json").write_text(json.dumps(json.loads(case.config) | {"num_attention_heads": 8}))
    with pytest.raises(BadInput, match=r"configurations that differ: bert_config\.json, config\.json"):
        read(tmp_path)


def test_a_configuration_of_no_concern_is_not_read(tmp_path: Path) -> None:
    """Beside a ResNet lies what it may: two configurations of texts that differ, or a broken one."""
    originals.case("slim_v1_50").write(tmp_path)
    (tmp_path / "bert_config.json").write_text("{")
    assert "architecture_recognised" in [one.code for one in read(tmp_path).findings]


def test_heads_that_nothing_tells_are_refused(tmp_path: Path) -> None:
    """A width that heads of 64 do not make up, as TinyBERT's 312, needs the configuration."""
    sizes = {64: 312, 256: 1248}
    shapes = originals.case("bert_tiny").variables
    tensors = {name: np.zeros([sizes.get(size, size) for size in shape], np.float32) for name, shape in shapes.items()}
    originals.write(tensors, tmp_path)
    with pytest.raises(BadInput, match="312 wide, and nothing tells how many heads"):
        read(tmp_path)


@pytest.mark.parametrize("scope", ["albert", "roberta", "electra"])
def test_another_model_of_these_layers_is_refused(scope: str, tmp_path: Path) -> None:
    """Names below another model's scope are not BERT's: RoBERTa counts its positions from 2, and no name says so."""
    values = originals.case("bert_tiny").values()
    originals.write({name.replace("bert/", f"{scope}/", 1): value for name, value in values.items()}, tmp_path)
    with pytest.raises(Incomplete, match=f"{scope}/embeddings"):
        read(tmp_path)


@pytest.mark.parametrize("change", ["missing", "extra", "misshapen"])
def test_a_checkpoint_that_is_not_quite_bert_is_refused(change: str, tmp_path: Path) -> None:
    """One tensor too few, too many, or of another shape: the line names it, and nothing is converted."""
    values: dict[str, Any] = dict(originals.case("bert_tiny").values())
    name = "bert/encoder/layer_1/output/dense/kernel"
    if change == "missing":
        del values[name]
    elif change == "misshapen":
        values[name] = values[name][:-1]
    else:
        name = "bert/adapter/kernel"
        values[name] = np.zeros((2, 2), np.float32)
    originals.write(values, tmp_path)
    with pytest.raises(Incomplete, match=name):
        read(tmp_path)


def test_a_scope_above_is_understood(tmp_path: Path) -> None:
    """Names below ``module/`` are the same BERT, its heads among them."""
    case = originals.case("bert_tiny_classifier")
    recorded = case.recorded()
    originals.write({f"module/{name}": value for name, value in case.values().items()}, tmp_path)
    (tmp_path / "bert_config.json").write_text(case.config)
    said = answers(read(tmp_path), {key: recorded[key] for key in case.inputs})
    assert apart(said["logits"], recorded["logits"]) <= TOLERANCE


def test_a_head_beside_a_module_is_understood(tmp_path: Path) -> None:
    """BERT as a Hub module, below ``module/``, with the classifier outside, as run_classifier_with_tfhub.py has it."""
    case = originals.case("bert_tiny_classifier")
    recorded = case.recorded()
    values = {f"module/{name}" if name.startswith("bert/") else name: one for name, one in case.values().items()}
    originals.write(values, tmp_path)
    (tmp_path / "bert_config.json").write_text(case.config)
    said = answers(read(tmp_path), {key: recorded[key] for key in case.inputs})
    assert apart(said["logits"], recorded["logits"]) <= TOLERANCE


@pytest.mark.parametrize(("lost", "architecture"), [("bert/pooler/dense/kernel/adam", ""), ("/adam_", "bert_of_words")])
def test_a_classifier_of_words_is_told_by_its_slots(lost: str, architecture: str, tmp_path: Path) -> None:
    """It is one where training gave no gradients to the pooled output's layer, or where the user says so."""
    case = originals.case("bert_tiny_classifier")
    recorded = case.recorded()
    values = {name: one for name, one in case.values().items() if lost not in name}
    originals.write(values, tmp_path)
    (tmp_path / "bert_config.json").write_text(case.config)
    loaded = read(tmp_path, architecture)
    said = answers(loaded, {key: recorded[key] for key in case.inputs})
    expected = said["sequence_output"] @ values["output_weights"].T + values["output_bias"]
    assert apart(said["logits"], expected) <= TOLERANCE
    assert any("reads every word" in one.cause for one in loaded.findings) is not bool(architecture)


def test_a_classifier_without_a_pooler_reads_words(tmp_path: Path) -> None:
    """Where nothing pools there are only words to read; a head that must have the pooled output is incomplete."""
    values = originals.case("bert_tiny_classifier").values(with_extras=False)
    originals.write({name: one for name, one in values.items() if "/pooler/" not in name}, tmp_path)
    assert any("reads every word" in one.cause for one in read(tmp_path).findings)
    values = originals.case("bert_tiny_pretraining").values(with_extras=False)
    originals.write({name: one for name, one in values.items() if "/pooler/" not in name}, tmp_path)
    with pytest.raises(Incomplete, match=r"2 missing: bert/pooler/dense/kernel"):
        read(tmp_path)


def test_no_pooler_and_something_besides_is_refused(tmp_path: Path) -> None:
    """A classifier of words with a layer of one's own fits neither kind, and the line names what is too much."""
    values = originals.case("bert_tiny_classifier").values() | {"crf/transitions": np.zeros((3, 3), np.float32)}
    originals.write({name: one for name, one in values.items() if "/pooler/" not in name}, tmp_path)
    with pytest.raises(Incomplete, match="1 that it has not: crf/transitions"):
        read(tmp_path)


@pytest.mark.parametrize("slots", [True, False])
def test_what_a_classifier_reads_is_an_assumption_without_slots(slots: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a parameter
    """The names of a classifier of texts are those of a classifier of words: where no slots tell it is said."""
    originals.case("bert_tiny_classifier").write(tmp_path, with_extras=slots)
    assumed = [one.cause for one in read(tmp_path).findings if one.code == "architecture_assumed"]
    assert any("read the pooled output" in cause for cause in assumed) is not slots


def test_weights_that_are_integers_are_refused(tmp_path: Path) -> None:
    """A kernel that somebody has quantised has lost its scale: it is not taken for numbers of its own."""
    values = dict(originals.case("bert_tiny").values())
    kernel = "bert/encoder/layer_1/output/dense/kernel"
    values[kernel] = (values[kernel] * 100).astype(np.int8)
    originals.write(values, tmp_path)
    with pytest.raises(BadInput, match=f"than as floats: {kernel} int8"):
        read(tmp_path)


def test_the_first_gelu_is_a_scheme_of_its_own(tmp_path: Path) -> None:
    """By erf a BERT answers otherwise by some 1e-4; its name settles what is assumed without it."""
    case = originals.case("bert_tiny")
    recorded = case.recorded()
    feeds = {key: recorded[key] for key in case.inputs}
    loaded = read(written(case, tmp_path), architecture="bert_erf")
    assert not any("GELU" in one.cause for one in loaded.findings)
    assert any("bert_erf" in one.cause for one in read(tmp_path).findings if one.code == "architecture_assumed")
    assert 1e-5 < apart(answers(loaded, feeds)["sequence_output"], recorded["sequence_output"]) < 1e-2


def test_gelu_is_what_its_definition_says() -> None:
    """Both ways are computed term by term in the graph; here they are held to the closed form in NumPy."""
    x = np.linspace(-4, 4, 33, dtype=np.float32)
    with tf.Graph().as_default(), v1.Session() as session:
        layers = GraphLayers(Catalogue(naming=lambda *_: {}, stored={}), {})
        by_erf, by_tanh = session.run([layers.gelu(tf.constant(x), by="erf"), layers.gelu(tf.constant(x), by="tanh")])
    exact = [value * 0.5 * (1 + math.erf(value / math.sqrt(2))) for value in x.tolist()]
    np.testing.assert_allclose(by_erf, exact, atol=1e-6)
    np.testing.assert_allclose(by_tanh, exact, atol=1e-3)
    assert np.abs(by_erf - by_tanh).max() > 1e-4
