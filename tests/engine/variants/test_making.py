from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from job.engine.assembling import read_source
from job.engine.exporting import export
from job.engine.lift import lift
from job.engine.variants import base, freezing, making
from job.engine.variants.base import NotApplicable
from job.engine.variants.making import make_variants
from job.requests import MakeVariantsRequest
from job.results import MadeVariants
from job.workers import Forkserver
from tests.engine.interface.test_signatures import Signatures, served, signature
from tests.engine.models import Build, ref, v1
from tests.engine.variants import nets


def made(tmp_path: Path, build: Any, **how: Any) -> MadeVariants:
    """Convert a net and make its variants, here."""
    source = read_source(served(tmp_path, build))
    export(lift(source, allow_nonfinite=False), source, str(tmp_path / "faithful"), scratch=str(tmp_path / "source"))
    directory = tmp_path / "made"
    directory.mkdir()
    how = {"precision": "exact"} | how
    return make_variants(MakeVariantsRequest(saved_model=str(tmp_path / "faithful"), directory=str(directory), **how))


def counting() -> Signatures:
    """A model that counts its calls."""
    x = v1.placeholder(tf.float32, [2], name="x")
    return {"serving_default": signature({"x": x}, {"y": x + v1.assign_add(ref("calls", 0.0), 1.0)})}


def three_inputs() -> Signatures:
    """Inputs whose order is not that of the alphabet, and names that differ by case."""
    zeta, alpha, beta = (v1.placeholder(tf.float32, [None, 2], name=f"in_{index}") for index in range(3))
    sum_ = zeta + alpha * ref("two", 2.0) - beta * 3.0
    return {
        "serving_default": signature({"zeta": zeta, "Alpha": alpha, "beta": beta}, {"b": sum_, "A": -sum_, "a": beta})
    }


def test_exact_makes_no_reduced_ones(tmp_path: Path) -> None:
    """What is asked for bounds what is made."""
    result = made(tmp_path, nets.dense)
    assert {one.precision for one in result.variants} == {"exact"}
    assert [one.name for one in result.variants if not one.reason] == ["constants", "folded"]


def test_what_writes_state_has_no_variants(tmp_path: Path) -> None:
    """A model that changes its variables cannot have them as constants, and the report says by which op."""
    result = made(tmp_path, counting)
    assert {one.reason for one in result.variants} == {
        "it writes state, by AssignAddVariableOp, and constants cannot be written to"
    }
    assert list((tmp_path / "made").iterdir()) == []


def test_what_is_too_large_has_no_variants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that no GraphDef holds stay variables."""
    monkeypatch.setattr(freezing, "MOST_BYTES", 100)
    assert "more than a GraphDef holds" in made(tmp_path, nets.dense).variants[0].reason


def test_signatures_together_may_be_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each signature has its own copy of the weights, and all are in one file."""
    monkeypatch.setattr(freezing, "MOST_BYTES", 8000)
    assert "its signatures hold" in made(tmp_path, nets.convolution).variants[0].reason


def test_one_refusal_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass that does not apply is one variant's reason."""

    def refuse(*_: object) -> base.Rewritten:
        raise NotApplicable("not this one")

    variants = (
        base.Variant(name="refused", precision="exact", passes=(refuse,)),
        base.Variant(name="made", precision="exact", passes=()),
        base.Variant(name="same", precision="exact", passes=()),
    )
    monkeypatch.setattr(making, "VARIANTS", variants)
    result = made(tmp_path, nets.dense)
    assert [one.reason for one in result.variants] == [
        "not this one",
        "",
        "there is nothing in it to change beyond made",
    ]


def test_arguments_have_their_names_and_order(tmp_path: Path) -> None:
    """In Python a variant is called as the faithful model is: by name through a signature, by order as it is."""
    made(tmp_path, three_inputs)
    given = {name: tf.constant([[value, 2.0]]) for name, value in (("zeta", 1.0), ("Alpha", 5.0), ("beta", 7.0))}
    orders, wanted = list[list[str]](), {"b": [[-10.0, 0.0]], "A": [[10.0, 0.0]], "a": [[7.0, 2.0]]}
    for directory in (tmp_path / "faithful", tmp_path / "made" / "constants"):
        loaded = tf.saved_model.load(str(directory))
        for said in (loaded.signatures["serving_default"](**given), loaded(**given)):
            for key, value in wanted.items():
                np.testing.assert_array_equal(said[key], value)
        orders.append(list(loaded.__call__.function_type.parameters))
    assert orders[0] == orders[1]


def test_bytes_are_the_same_each_time(tmp_path: Path, forkserver: Forkserver, scratch: Path) -> None:
    """Made twice of one model, each time in a process of its own, a variant is the same to the byte."""
    source = read_source(served(tmp_path, nets.dense))
    faithful = scratch / "made_twice"
    export(lift(source, allow_nonfinite=False), source, str(faithful), scratch=str(tmp_path / "source"))
    written = set()
    for name in ("first", "second"):
        directory = scratch / f"made_{name}"
        directory.mkdir()
        asked = MakeVariantsRequest(saved_model=str(faithful), directory=str(directory), precision="exact")
        forkserver.run("make_variants", asked, MadeVariants, timeout_s=120)
        written.add((directory / "folded/saved_model.pb").read_bytes())
    assert len(written) == 1


def compiled_calls(directory: Path) -> int:
    """Return how many calls of a SavedModel XLA must compile."""
    saved = saved_model_pb2.SavedModel.FromString((directory / "saved_model.pb").read_bytes())
    functions = saved.meta_graphs[0].graph_def.library.function
    return sum(
        node.attr["_XlaMustCompile"].b for one in functions for node in one.node_def if "_XlaMustCompile" in node.attr
    )


def test_compiled_by_xla(tmp_path: Path) -> None:
    """What XLA shall compile says so in the SavedModel, and fills batches up without a trace in the answers."""
    result = made(tmp_path, nets.convolution, device="gpu")
    assert [one.name for one in result.variants if not one.reason] == ["constants", "folded", "folded_xla"]
    assert compiled_calls(tmp_path / "made/folded_xla") == 2
    assert compiled_calls(tmp_path / "made/folded") == 0
    plain, compiled = (tf.saved_model.load(str(tmp_path / "made" / name)) for name in ("folded", "folded_xla"))
    for count in (1, 3, 4, 5):
        x = tf.constant(np.random.default_rng(count).normal(size=(count, 9, 9, 3)).astype(np.float32))
        for key in ("serving_default", "features"):
            wanted, said = (model.signatures[key](my_image=x) for model in (plain, compiled))
            for name, value in wanted.items():
                np.testing.assert_allclose(said[name], value, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("build", "reason"),
    [(nets.words, "tables"), (nets.looped, "XLA cannot compile"), (nets.recurrent, "x may have any size")],
)
def test_what_xla_cannot_compile(tmp_path: Path, build: Build, reason: str) -> None:
    """Tables, loops of TF1's and sizes without end are told beforehand."""
    (variant,) = (one for one in made(tmp_path, build, device="gpu").variants if one.name == "folded_xla")
    assert reason in variant.reason
