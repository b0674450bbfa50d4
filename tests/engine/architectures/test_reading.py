"""What is made of a recognised checkpoint, and what is said of it, by a small network that says every word."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from job.engine.architectures import reading
from job.engine.architectures.base import Proposal
from job.engine.architectures.inventory import Inventory, take
from job.engine.state.checkpoint import trained_variables
from job.errors import BadInput
from job.records import Format
from job.requests import SourceRequest
from tests.architectures import originals
from tests.engine.architectures import nets


@pytest.fixture
def tiny() -> tuple[Proposal, Inventory]:
    """Return the small network with the checkpoint that it fits."""
    inventory = take(nets.SHAPES)
    (proposal,) = nets.family()(inventory)
    return proposal, inventory


def test_variables_are_the_checkpoints(tiny: tuple[Proposal, Inventory]) -> None:
    """Each stored tensor is a variable of its name and shape, made of no values; statistics are not trained."""
    meta_graph = reading.restate(*tiny)
    nodes = [node for node in meta_graph.graph_def.node if node.op == "VarHandleOp"]
    shapes = {node.name: tuple(size.size for size in node.attr["shape"].shape.dim) for node in nodes}
    assert shapes == nets.SHAPES
    statistics = {name for name in nets.SHAPES if name.endswith(("/mean", "/variance"))}
    assert trained_variables(meta_graph) == set(nets.SHAPES) - statistics
    assert sum(node.op == "AssignVariableOp" for node in meta_graph.graph_def.node) == len(nets.SHAPES)


def test_nothing_is_computed_that_only_training_needs(tiny: tuple[Proposal, Inventory]) -> None:
    """Variables have no initialisers, whose nodes would take longer to make than the network."""
    graph = reading.restate(*tiny).graph_def
    assert not [node.name for node in graph.node if "Initializer" in node.name or node.op == "VarIsInitializedOp"]


@pytest.mark.parametrize("dtype", ["int8", "string", "bool"])
def test_weights_that_are_no_floats_are_refused(tiny: tuple[Proposal, Inventory], dtype: str) -> None:
    """A tensor of the right name and shape that holds no real numbers is not a weight."""
    proposal, inventory = tiny
    with pytest.raises(BadInput, match=f"otherwise than as floats: conv1/kernel {dtype}"):
        reading.restate(proposal, replace(inventory, dtypes={"conv1/kernel": dtype}))


def test_names_that_tensorflow_does_not_take_are_refused(tiny: tuple[Proposal, Inventory]) -> None:
    """A scope with a space is told with the name, and not as a matter of shapes."""
    proposal, inventory = tiny
    below = {f"my net/{name}": shape for name, shape in inventory.weights.items()}
    named = replace(proposal, naming=lambda: lambda path, kind: _below("my net/", nets.names(path, kind)))
    with pytest.raises(BadInput, match="builds no graph of them: 'my net/conv1/kernel' is not a valid"):
        reading.restate(named, take(below))


def test_half_precision_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was trained in half precision answers in float32, which a reader of the report knows."""
    monkeypatch.setattr(reading, "ARCHITECTURES", (nets.family(),))
    values = nets.values_of()
    head = {name: array.astype(np.float16) for name, array in values.items() if name.startswith("head/")}
    originals.write({**values, **head}, tmp_path)
    request = SourceRequest(format=Format.CHECKPOINT, directory=str(tmp_path), entry="model.ckpt")
    findings = reading.read(request, str(tmp_path / "model.ckpt")).findings
    (assumed,) = (one.cause for one in findings if one.code == "architecture_assumed")
    assert assumed == "float16 of 2 stored tensors is taken to be computed with as float32"


def _below(scope: str, names: Mapping[str, str]) -> dict[str, str]:
    return {role: scope + name for role, name in names.items()}
