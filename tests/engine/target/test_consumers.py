"""Old TensorFlows load, call and train what was made for them. ``scripts/test-consumers`` makes their environments."""

import base64
import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import op_def_pb2, types_pb2
from tensorflow.python.framework import op_def_registry

from job.engine.assembling import read_source
from job.engine.exporting import export
from job.engine.lift import LiftedModel, argument_names, lift
from job.engine.proof.answers import Answer, ask
from job.engine.source_graph import SourceGraph
from job.engine.target.history import number, unknown_to
from job.pulling import pull
from job.records import TargetTf
from job.requests import SourceRequest, VerifyRequest
from job.storage import open_source
from tests.engine.models import ref, save_checkpoint, v1, v1_graph
from tests.engine.test_goldens import OURS, SHARED, cases, found_in

ENVIRONMENTS: Final = os.environ.get("TF1LIFT_TEST_CONSUMERS", "")
VERSIONS: Final[list[Any]] = os.environ.get("TF1LIFT_TEST_CONSUMER_VERSIONS", "").split()
CONSUMER: Final = Path(__file__).with_name("consumer.py")
TOLERANCE, HALF_TOLERANCE = 1e-5, 2e-3
TIMEOUT_S: Final = 900

pytestmark = [
    pytest.mark.consumers,
    pytest.mark.skipif(
        not VERSIONS,
        reason="TF1LIFT_TEST_CONSUMER_VERSIONS names no old TensorFlow; scripts/test-consumers makes some",
    ),
]

STATISTICS: Final = {name: np.linspace(0.5, 1.5, 4, dtype="f") for name in ("gamma", "beta", "mean", "variance")}
FIRST: Final = (2, 10)
"""The version that was the first to know ``DisableCopyOnRead``."""

TRAINED: Final = 4
"""Of the network below: two kernels, gamma and beta."""


def network() -> None:
    """Build a convolution with batch norm, and a dense layer."""
    x = v1.placeholder(tf.float32, [None, 9, 9, 3], name="x")
    random = np.random.default_rng(0)
    y = tf.nn.conv2d(x, ref("conv", random.normal(size=[3, 3, 3, 4]).astype("f")), 1, "SAME")
    statistics = [ref(name, value, trainable=name in {"gamma", "beta"}) for name, value in STATISTICS.items()]
    y = tf.nn.relu(v1.nn.fused_batch_norm(y, *statistics, is_training=False)[0])
    y = tf.reduce_mean(y, [1, 2]) @ ref("dense", random.normal(size=[4, 5]).astype("f"))
    tf.identity(y, name="logits")


def partitioned() -> None:
    """Build a lookup in a variable that lies in three parts."""
    table = v1.get_variable(
        "table",
        [9, 3],
        initializer=v1.random_normal_initializer(seed=0),
        partitioner=v1.fixed_size_partitioner(3),
        use_resource=False,
    )
    ids = v1.placeholder(tf.int64, [None], name="ids")
    v1.nn.embedding_lookup(list(table), tf.math.floormod(ids, 9), name="rows")


def strings() -> None:
    """Build what text goes through."""
    text = v1.placeholder(tf.string, [None], name="text")
    plain = tf.strings.regex_replace(tf.strings.lower(text), "[^a-z]", "_")
    tf.strings.join([plain, tf.strings.as_string(tf.strings.length(text))], separator="/", name="joined")
    tf.strings.to_hash_bucket_fast(plain, 97, name="bucket")


BUILT: Final[dict[str, Callable[[], None]]] = {"network": network, "partitioned": partitioned, "strings": strings}
FOUND: Final[dict[str, Path]] = {
    **{f"keras_{file.stem}": file for file in sorted((OURS / "keras" / "2.2.4-tf").glob("*.h5"))},
    **{case.id: case.values[0] for folder in (OURS, SHARED) for case in cases(folder, "load") if not case.marks},
}


@dataclass(frozen=True, kw_only=True)
class Original:
    """A model, lifted, with what TF1's own graph says to samples."""

    source: SourceGraph
    model: LiftedModel
    answers: list[Answer]
    scratch: str

    def order(self, directory: Path, target_tf: TargetTf, *, trains: bool) -> dict[str, Any]:
        """Write the SavedModel for one TensorFlow, and return what that is to do with it."""
        export(self.model, self.source, str(directory), scratch=self.scratch, target_tf=target_tf)
        calls = [ordered(answer, directory / f"{number}.npz") for number, answer in enumerate(self.answers)]
        return {"saved_model": str(directory), "calls": calls, "trains": trains}


def ordered(answer: Answer, file: Path) -> dict[str, Any]:
    """Return a call and its expected outputs, whose arrays are written to `file`."""
    inputs = {f"in_{number}": value for number, value in enumerate(answer.sample.feeds)}
    outputs = {f"out_{number}": value for number, value in enumerate(answer.outputs)}
    np.savez(file, **{name: plain(value) for name, value in (inputs | outputs).items()})
    return {
        "signature": answer.signature.key,
        "arrays": str(file),
        "inputs": dict(zip(argument_names(answer.signature), inputs, strict=True)),
        "outputs": dict(zip((spec.key for spec in answer.signature.outputs), outputs, strict=True)),
    }


def plain(array: Any) -> Any:
    """Return an array that needs no pickle and keeps its NULs."""
    if array.dtype.kind not in "OS":
        return array
    return np.array([base64.b64encode(item) for item in array.ravel()], "S").reshape(array.shape)


def original(request: SourceRequest) -> Original:
    """Read and lift a model, and ask its own graph."""
    source = read_source(request)
    wanted = VerifyRequest(source=request, saved_model="", mode="exact", tolerance=TOLERANCE)
    answers = ask(source, wanted, "exact")
    known = [answer for answer in answers.said if answer.signature.key not in answers.random]
    model = lift(source, allow_nonfinite=False)
    return Original(
        source=source, model=model, answers=known[:1] if source.writes_state else known, scratch=request.directory
    )


def request_for(name: str, folder: Path) -> SourceRequest:
    """Build a model, or find it."""
    if name in BUILT:
        with v1_graph() as graph:
            BUILT[name]()
            return save_checkpoint(graph, folder / "source" / name)
    listing = found_in(FOUND[name].parent)  # of all cases: some checkpoints have their graph from another one
    artifact = next(one for one in listing.artifacts if f"{one.name}/".startswith(f"{FOUND[name].name}/"))
    pull(open_source(str(FOUND[name].parent)), artifact, folder / name)
    return SourceRequest(format=artifact.format, directory=str(folder / name), entry=artifact.entry)


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Original]:
    """Lift all models, once for all TensorFlows."""
    folder = tmp_path_factory.mktemp("originals")
    return {name: original(request_for(name, folder)) for name in (*BUILT, *FOUND)}


@pytest.fixture(scope="module")
def told(
    originals: dict[str, Original], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[TargetTf], dict[str, Any]]:
    """Return a function from a version to what that TensorFlow said of all models, asked once."""

    @cache
    def consume(version: TargetTf) -> dict[str, Any]:
        folder = tmp_path_factory.mktemp(f"for-{version}")
        orders = {name: one.order(folder / name, version, trains=name == "network") for name, one in originals.items()}
        orders["without_target"] = originals["network"].order(folder / "running", "running", trains=False)
        files = folder / "orders.json", folder / "results.json"
        files[0].write_text(json.dumps(orders))
        python = Path(ENVIRONMENTS, version, "bin", "python")
        subprocess.run([python, "-W", "ignore", CONSUMER, *files], check=True, timeout=TIMEOUT_S)
        results: dict[str, Any] = json.loads(files[1].read_text())
        return results

    return consume


Told = Callable[[TargetTf], dict[str, Any]]
each_version = pytest.mark.parametrize("version", VERSIONS)


@each_version
@pytest.mark.parametrize("name", [*BUILT, *FOUND])
def test_old_tensorflow_answers_as_tensorflow_1_did(told: Told, version: TargetTf, name: str) -> None:
    """What was converted for a TensorFlow is loaded and called by it, and says what the original graph says."""
    result = told(version)
    assert result["version"].startswith(f"{version}.")
    assert result["models"][name]["error"] == ""
    assert result["models"][name]["worst"] <= (HALF_TOLERANCE if "half" in name else TOLERANCE)


@each_version
def test_old_tensorflow_trains(told: Told, version: TargetTf) -> None:
    """There, too, gradients reach every trainable variable, and a step along them lowers a loss."""
    result = told(version)["models"]["network"]
    assert result["trained"] == TRAINED
    assert result["after"] < result["before"]


@pytest.mark.parametrize("version", [version for version in VERSIONS if number(version) < FIRST])
def test_without_the_target_it_does_not_load(told: Told, version: TargetTf) -> None:
    """What is written for today's TensorFlow has an op that older ones do not know: the target is what helps."""
    assert "Op type not registered 'DisableCopyOnRead'" in told(version)["models"]["without_target"]["error"]


@each_version
def test_history_is_what_the_version_registers(told: Told, version: TargetTf) -> None:
    """Ops, attributes and values are unknown to a TensorFlow if and only if the committed history says so."""
    unknown, registered = unknown_to(version), op_def_pb2.OpList.FromString(base64.b64decode(told(version)["ops"]))
    for old in registered.op:
        new = op_def_registry.get(old.name)
        if new is None or old.name in unknown.ops:
            continue
        known = {one.name: one for one in old.attr}
        for attribute in new.attr:
            assert (attribute.name in known) != ((old.name, attribute.name) in unknown.attributes), old.name
            gained = {*attribute.allowed_values.list.type} - {
                *known.get(attribute.name, attribute).allowed_values.list.type
            }
            said = {value for op, name, value in unknown.values if (op, name) == (old.name, attribute.name)}
            assert {types_pb2.DataType.Name(one)[3:].lower() for one in gained} <= said, old.name
    assert {op for op, first in unknown_to("2.4").ops.items() if op not in unknown.ops} <= {
        old.name for old in registered.op
    }
