from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from job import memory_cap
from job.engine.assembling import read_source
from job.engine.exporting import export
from job.engine.lift import lift
from job.engine.ops.allowing import ALLOWED, allow_ops
from job.engine.variants import base, freezing, making
from job.engine.variants.base import NotApplicable
from job.engine.variants.making import make_variants
from job.records import ArtifactOptions
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


def twins() -> Signatures:
    """Three signatures that take the same, none of them the default one; the first is not that of the alphabet."""
    x = v1.placeholder(tf.float32, [None, 2], name="x")
    y = x * ref("two", 2.0)
    return {key: signature({"x": x}, {"y": y + float(shift)}) for shift, key in enumerate("cab")}


def test_called_itself_it_is_the_same_signature(tmp_path: Path) -> None:
    """Where several signatures take the same arguments, a variant itself answers like the faithful model itself."""
    made(tmp_path, twins)
    x = tf.constant([[1.0, 5.0]])
    loaded = [tf.saved_model.load(str(directory)) for directory in (tmp_path / "faithful", tmp_path / "made/constants")]
    np.testing.assert_array_equal(loaded[1](x)["y"], loaded[0](x)["y"])
    assert len({float(loaded[1].signatures[key](x=x)["y"][0, 0]) for key in "abc"}) == 3


def test_what_it_answers_to_must_be_told(tmp_path: Path) -> None:
    """A model that is none of its signatures when it is called has no variants: they could not be told to be it."""
    module = tf.Module()
    functions = [
        tf.function(lambda x: {"y": x}, input_signature=[tf.TensorSpec([2], name="x")]).get_concrete_function()
        for _ in range(2)
    ]
    module.functions, module.__call__ = {"serving_default": functions[0]}, functions[1]
    tf.saved_model.save(module, str(tmp_path / "odd"), signatures=module.functions)
    (tmp_path / "made").mkdir()
    result = make_variants(
        MakeVariantsRequest(saved_model=str(tmp_path / "odd"), directory=str(tmp_path / "made"), precision="exact")
    )
    assert {one.reason for one in result.variants} == {
        "it does not tell which of its signatures it answers to when it is called itself"
    }


def test_allowed_ops_reach_the_variants(tmp_path: Path) -> None:
    """What a user lets run is let into a variant, in a process that has read no source before."""
    made(tmp_path, nets.dense, options=ArtifactOptions(allow_ops=("ReadFile",)))
    allowed = set(ALLOWED)
    allow_ops([])
    assert allowed == {"ReadFile"}


def test_each_pass_is_run_once_and_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What several variants begin with is done once, and let go of after the last of them."""
    runs, held = list[str](), list[int]()

    def passing(name: str) -> base.Pass:
        def run(frozen: base.FrozenGraph, _: object) -> base.Rewritten:
            runs.append(name)
            return frozen, (name,)

        return run

    a, b, c, d = map(passing, "abcd")
    passes = ((a, b), (a, b, c), (a, b, d))
    variants = [base.Variant(name=str(index), precision="exact", passes=one) for index, one in enumerate(passes)]
    monkeypatch.setattr(making, "VARIANTS", variants)
    tried = making._Making.tried

    def watched(self: Any, *asked: Any) -> Any:
        result = tried(self, *asked)
        held.append(len(self._rewritten))
        return result

    monkeypatch.setattr(making._Making, "tried", watched)
    made(tmp_path, nets.dense)
    assert (runs, held) == (list("abcd"), [1, 1, 0])


def test_what_has_no_room_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is looked at before each variant: a worker that ends costs the others, too."""
    monkeypatch.setattr(memory_cap, "_given", [memory_cap.MemoryCap(limit_bytes=2**20, reason="a test")])
    monkeypatch.setattr("job.engine.lift.check_room", lambda *_: None)
    reasons = {one.reason.partition(":")[0] for one in made(tmp_path, nets.dense).variants}
    assert len(reasons) == 1
    assert "out of memory in the make_variants stage" in reasons.pop()


def boxes(*, is_cut: bool) -> Build:
    """Return what builds a model whose second answer has as many rows as something else than the batch."""

    def build() -> Signatures:
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        rows = tf.reshape(x * ref("two", 2.0), [-1, 2])
        return {
            "serving_default": signature({"x": x}, {"y": x + 1.0, "boxes": rows[: tf.shape(x)[0]] if is_cut else rows})
        }

    return build


@pytest.mark.parametrize("is_cut", [True, False])
def test_rows_that_are_no_batch_are_not_cut(tmp_path: Path, *, is_cut: bool) -> None:
    """A free leading dimension may be of boxes, two an example, say: nothing may be cut off of those."""
    result = made(tmp_path, boxes(is_cut=is_cut), device="gpu")
    (variant,) = (one for one in result.variants if one.name == "folded_xla")
    assert ("boxes may not be as long as the batch" in variant.reason) != is_cut
    assert bool(variant.reason) != is_cut
