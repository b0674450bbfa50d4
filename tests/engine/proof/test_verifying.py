import gc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from job.engine.proof import reference
from job.engine.proof.verifying import _as_run as as_run
from job.engine.proof.verifying import verify
from job.engine.run_errors import message_of
from job.errors import BadInput, Refused, UsageError
from job.records import ArtifactOptions
from job.requests import SourceRequest, VerifyRequest
from job.results import OutputParity, ParityResult
from tests.engine.models import Saver, converted, ref, request_of, v1

KERNEL = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)


def linear() -> None:
    x = v1.placeholder(tf.float32, [None, 4], name="x")
    tf.nn.softmax(tf.matmul(x, ref("kernel", KERNEL), name="logits"), name="probabilities")


def verified(request: SourceRequest, saved_model: Path, **how: Any) -> ParityResult:
    wanted = VerifyRequest(source=request, saved_model=str(saved_model), mode="exact", tolerance=1e-5)
    return verify(replace(wanted, **how))


def test_model_is_looked_at_before_it_is_loaded(saved: Saver, tmp_path: Path) -> None:
    """What wrote it had read a stranger's model, and may have become his: an op that reads files is found there."""
    request = saved(linear)
    path = converted(request, tmp_path).directory / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    model.meta_graphs[0].graph_def.library.function[0].node_def.add(name="evil", op="ReadFile")
    path.write_bytes(model.SerializeToString())
    with pytest.raises(Refused, match=r"holds op ReadFile .node evil."):
        verified(request, path.parent)
    path.write_bytes(b"\xff")
    with pytest.raises(BadInput, match="is no SavedModel"):
        verified(request, path.parent)


def test_conversion_is_proven(saved: Saver, tmp_path: Path) -> None:
    """Every output passes on every batch, with its figures, and the answers are kept for the run with defaults."""
    request = saved(linear)
    model = converted(request, tmp_path)
    kept = str(tmp_path / "reference.npz")
    result = verified(request, model.directory, reference=kept)
    assert (result.verdict, result.reason, result.notes) == ("passed", "", ())
    assert {output.tensor: (output.verdict, output.relative, len(output.samples)) for output in result.outputs} == {
        "probabilities:0": ("passed", 0.0, 3),
        "logits:0": ("passed", 0.0, 3),
    }
    assert len(reference.read(kept)) == 3
    as_run = verified(request, model.directory, mode="as_run", reference=kept)
    assert (as_run.verdict, [output.samples for output in as_run.outputs]) == (
        "passed",
        [output.samples for output in result.outputs],
    )


def damaged(directory: Path, relative: float) -> None:
    """Write the SavedModel again with one number of its variable changed."""
    loaded = tf.saved_model.load(str(directory))
    (variable,) = loaded.signatures["serving_default"].variables
    changed = variable.numpy()
    changed[0, 0] *= 1 + relative
    variable.assign(changed)
    tf.saved_model.save(loaded, str(directory), signatures=loaded.signatures)


def test_damaged_candidate_fails(saved: Saver, tmp_path: Path) -> None:
    """A number that is off by a thousandth is found, measured and said; the baseline never sees it."""
    request = saved(linear)
    model = converted(request, tmp_path)
    damaged(model.directory, 1e-3)
    result = verified(request, model.directory)
    assert result.verdict == "failed"
    assert result.reason
    logits = next(output for output in result.outputs if output.tensor == "logits:0")
    assert logits.verdict == "failed"
    assert logits.relative is not None
    assert 1e-5 < logits.relative < 1e-2


def test_user_may_tolerate_more(saved: Saver, tmp_path: Path) -> None:
    """The same damage passes a tolerance that is wider than it."""
    request = saved(linear)
    model = converted(request, tmp_path)
    damaged(model.directory, 1e-3)
    assert verified(request, model.directory, tolerance=1e-1).verdict == "passed"


def test_candidate_of_another_signature_fails(saved: Saver, tmp_path: Path) -> None:
    """A candidate that cannot answer where the baseline does has failed, and is not merely untested."""
    request = saved(linear)
    model = converted(request, tmp_path)
    loaded = tf.saved_model.load(str(model.directory))
    nine = tf.ones([9, 3])
    narrow = tf.function(
        lambda x: {"probabilities": x @ nine, "logits": x @ nine},
        input_signature=[tf.TensorSpec([None, None], name="x")],
    )
    loaded.narrow = narrow
    tf.saved_model.save(loaded, str(model.directory), signatures={"serving_default": narrow})
    result = verified(request, model.directory)
    assert result.verdict == "failed"
    assert "the candidate fails where the TF1 graph answers" in result.reason


def noisy(scale: float, **seeded: int) -> None:
    x = v1.placeholder(tf.float32, [None, 4], name="x")
    tf.add(x, scale * tf.random.normal(tf.shape(x), **seeded), name="y")


@pytest.mark.parametrize(("seeded", "method"), [({}, "distribution"), ({"seed": 7}, "seed")])
def test_random_graph_is_compared_by_its_draws(
    saved: Saver, tmp_path: Path, seeded: dict[str, int], method: str
) -> None:
    """A random model passes by its seed where it has one, else by distribution; the record and a note say so."""
    request = saved(lambda: noisy(1.0, **seeded))
    model, kept = converted(request, tmp_path), str(tmp_path / "reference.npz")
    for mode in ("exact", "as_run"):
        result = verified(request, model.directory, reference=kept, mode=mode)
        assert [(output.verdict, output.method) for output in result.outputs] == [("passed", method)]
        assert any(note.startswith("serving_default/y: random") for note in result.notes)


def test_random_model_that_keeps_state_is_not_judged(saved: Saver, tmp_path: Path) -> None:
    """Draws of a model whose state goes on changing are no sample of one distribution: said, in either run."""

    def build() -> None:
        x, count = v1.placeholder(tf.float32, [None, 4], name="x"), ref("count", 0.0)
        tf.add(x + tf.random.normal(tf.shape(x)), v1.assign_add(count, 1.0) * 1.0, name="y")

    request, kept = saved(build), str(tmp_path / "reference.npz")
    model = converted(request, tmp_path)
    for mode in ("exact", "as_run"):
        result = verified(request, model.directory, reference=kept, mode=mode)
        assert result.verdict == "not_run"
        assert "kept state" in result.reason


def test_other_distribution_is_refused(saved: Saver, tmp_path: Path) -> None:
    """A candidate that adds twice the noise draws from another distribution."""
    model = converted(saved(lambda: noisy(2.0)), tmp_path)
    result = verified(saved(lambda: noisy(1.0)), model.directory)
    assert result.verdict == "failed"
    assert "differ in distribution" in result.reason


def test_batch_dependence_is_noted(saved: Saver, tmp_path: Path) -> None:
    """Batch norm that was left in training mode shows: an example alone gets another answer than in its batch."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        tf.subtract(x, tf.reduce_mean(x, 0), name="y")

    request = saved(build)
    result = verified(request, converted(request, tmp_path).directory)
    assert result.verdict == "passed"
    assert any("batch_dependent" in note for note in result.notes)


def test_counter_is_compared_from_the_same_start(saved: Saver, tmp_path: Path) -> None:
    """A model that keeps state between calls passes, call by call, and is not taken for random."""

    def build() -> None:
        x, count = v1.placeholder(tf.float32, [None, 4], name="x"), ref("count", 0.0)
        tf.add(x, v1.assign_add(count, 1.0) * 1.0, name="y")

    request = saved(build)
    result = verified(request, converted(request, tmp_path).directory)
    assert (result.verdict, result.notes) == ("passed", ())


def test_nothing_is_passed_that_was_not_run(saved: Saver, tmp_path: Path) -> None:
    """Where the baseline accepts no sample the verdict is `not_run`, and the reason says why and what to do."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        with tf.control_dependencies([tf.debugging.assert_equal(tf.shape(x)[0], 1000)]):
            tf.identity(x, name="y")

    request = saved(build)
    result = verified(request, converted(request, tmp_path).directory)
    assert {output.verdict for output in result.outputs} == {result.verdict} == {"not_run"}
    assert result.reason.startswith("no sample could be run: ")
    assert "`samples`" in result.reason


def test_users_samples_and_goldens_are_compared(saved: Saver, tmp_path: Path) -> None:
    """On the user's inputs the recorded outputs are held against the candidate, apart from the baseline."""
    request = saved(linear)
    model = converted(request, tmp_path)
    x = np.ones([2, 4], np.float32)
    right, wrong = (x @ KERNEL).astype(np.float32), (x @ KERNEL + 0.1).astype(np.float32)
    np.savez(tmp_path / "samples.npz", x=x)
    verdicts = {}
    for name, logits in (("right", right), ("wrong", wrong)):
        np.savez(tmp_path / f"{name}.npz", logits=logits)
        options = ArtifactOptions(samples=str(tmp_path / "samples.npz"), goldens=str(tmp_path / f"{name}.npz"))
        result = verified(request_of(Path(request.directory), options), model.directory)
        verdicts[name] = {output.output: output.verdict for output in result.outputs}
    assert verdicts == {
        "right": {"probabilities": "passed", "logits": "passed", "logits (golden)": "passed"},
        "wrong": {"probabilities": "passed", "logits": "passed", "logits (golden)": "failed"},
    }


def test_graph_that_does_not_run_is_bad_input(saved: Saver, tmp_path: Path) -> None:
    """Without a baseline nothing can be proven; the error says what the graph said."""
    request = saved(linear)
    model = converted(request, tmp_path)
    data = tmp_path / "source/model.ckpt.data-00000-of-00001"
    data.write_bytes(bytes([data.read_bytes()[0] ^ 1]) + data.read_bytes()[1:])
    with pytest.raises(BadInput, match="the original graph does not run"):
        verified(request, model.directory)


def test_strings_and_integers_are_exact(saved: Saver, tmp_path: Path) -> None:
    """Outputs without a fraction are compared exactly; one that can have no elements has them all compared."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        best = tf.argmax(x, 1, name="best")
        tf.strings.as_string(best, name="word")
        tf.identity(x[:, :0], name="nothing")

    request = saved(build)
    options = ArtifactOptions(outputs={"best": "best", "word": "word", "nothing": "nothing"})
    model = converted(request_of(Path(request.directory), options), tmp_path)
    result = verified(request_of(Path(request.directory), options), model.directory)
    assert {output.output: (output.verdict, output.tolerance) for output in result.outputs} == {
        "best": ("passed", 0.0),
        "word": ("passed", 0.0),
        "nothing": ("passed", pytest.approx(1e-5)),
    }


def goldens(tmp_path: Path, **arrays: Any) -> str:
    path = tmp_path / "answers.npz"
    np.savez(path, **arrays)
    return str(path)


def test_goldens_that_would_not_be_used_are_an_error(saved: Saver, tmp_path: Path) -> None:
    """Goldens without samples, and goldens named as no output, are never silently left out."""
    request = saved(linear)
    model = converted(request, tmp_path)
    samples = tmp_path / "samples.npz"
    np.savez(samples, x=np.ones((2, 4), np.float32))
    lonely = ArtifactOptions(goldens=goldens(tmp_path, logits=np.zeros((2, 3), np.float32)))
    with pytest.raises(UsageError, match="without `samples`"):
        verified(replace(request, options=lonely), model.directory)
    misnamed = ArtifactOptions(samples=str(samples), goldens=goldens(tmp_path, logit=np.zeros((2, 3), np.float32)))
    with pytest.raises(UsageError, match="name no output: logit"):
        verified(replace(request, options=misnamed), model.directory)


def test_recorded_samples_must_run(saved: Saver, tmp_path: Path) -> None:
    """Samples that the TF1 graph refuses are the user's mistake, and are said with the graph's reason."""
    request = saved(linear)
    model = converted(request, tmp_path)
    samples = tmp_path / "samples.npz"
    np.savez(samples, x=np.ones((2, 5), np.float32))
    with pytest.raises(UsageError, match="refuses the recorded samples"):
        verified(replace(request, options=ArtifactOptions(samples=str(samples))), model.directory)


def test_saturated_probabilities_hide_no_error(saved: Saver, tmp_path: Path) -> None:
    """Where a softmax rounds an error away, the logarithms of its small probabilities still show it."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        bias = tf.constant([40.0, 0.0, -3.0])
        tf.nn.softmax(tf.matmul(x, ref("kernel", KERNEL)) * 0.1 + bias, name="probabilities")

    options = ArtifactOptions(outputs={"probabilities": "probabilities"})
    request = replace(saved(build), options=options)
    model = converted(request, tmp_path)
    assert verified(request, model.directory).verdict == "passed"
    damaged(model.directory, 0.5)
    (output,) = verified(request, model.directory).outputs
    assert output.verdict == "failed"


def test_whole_numbers_are_not_judged_as_run() -> None:
    """Rounding that tips a whole number over is reported for the run with defaults, and not judged."""
    off = OutputParity(
        signature="s",
        output="o",
        tensor="o:0",
        dtype="float32",
        verdict="failed",
        tolerance=0.0,
        reason="2 of 9 differ",
    )
    tipped = replace(off, dtype="uint8")
    assert (as_run(tipped).verdict, as_run(off).verdict) == ("not_run", "failed")
    assert "2 of 9 differ" in as_run(tipped).reason


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Graph execution error:\nDetected at node\n  File \"a.py\", line 1\nNode: 'x'\nNo such file", "No such file"),
        ("one line", "one line"),
        ("", "ValueError"),
    ],
)  # fmt: skip
def test_message_is_the_ops_own(text: str, said: str) -> None:
    """Of TensorFlow's many lines the one is kept that says what went wrong."""
    assert message_of(ValueError(text)) == said


def test_what_needs_onednn_is_held_to_the_exact_tolerance(saved: Saver, tmp_path: Path) -> None:
    """Signatures that the exact run could not answer are asked again, both sides alike, and labelled."""
    request, kept = saved(linear), str(tmp_path / "reference.npz")
    model = converted(request, tmp_path)
    reference.write(kept, [], ["serving_default"])
    result = verified(request, model.directory, mode="as_run", reference=kept)
    assert [(one.verdict, one.method, one.tolerance) for one in result.outputs] == [("passed", "onednn", 1e-5)] * 2
    assert any("ran with oneDNN" in note for note in result.notes)
    damaged(model.directory, 1e-3)
    assert verified(request, model.directory, mode="as_run", reference=kept).verdict == "failed"


def test_example_alone_is_compared_beside_outputs_of_the_whole_batch(saved: Saver, tmp_path: Path) -> None:
    """A loss over the batch is no reason not to compare the rows of the other output."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        y = tf.subtract(x, tf.reduce_mean(x, 0), name="y")
        tf.reduce_mean(tf.square(y), name="loss")

    options = ArtifactOptions(outputs={"y": "y", "loss": "loss"})
    request = request_of(Path(saved(build).directory), options)
    result = verified(request, converted(request, tmp_path).directory)
    assert any("batch_dependent" in note for note in result.notes)


def test_state_that_a_function_writes_is_no_chance(saved: Saver, tmp_path: Path) -> None:
    """A counter in a library function is compared call by call from the same start, and not by distribution."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        count = v1.get_variable("count", initializer=0.0, use_resource=True)
        counted = tf.function(lambda value: value + count.assign_add(1.0), autograph=False)
        tf.identity(counted(x), name="y")

    request = saved(build)
    gc.collect()  # `counted` stays registered under its name, which the artifact's copy has too, until it is collected
    result = verified(request, converted(request, tmp_path).directory)
    assert {(output.verdict, output.method) for output in result.outputs} == {("passed", "values")}
    assert result.notes == ()


def test_zeros_alone_are_named(saved: Saver, tmp_path: Path) -> None:
    """An output that no sample makes anything but zero passes with a note; other samples of a kind are tried first."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, None], name="x")
        tf.nn.relu(x - 1e6, name="never")
        tf.maximum(x, 0.0, name="often")

    options = ArtifactOptions(outputs={"never": "never", "often": "often"})
    request = request_of(Path(saved(build).directory), options)
    result = verified(request, converted(request, tmp_path).directory)
    assert result.verdict == "passed"
    (note,) = (note for note in result.notes if "zero in every sample" in note)
    assert note.startswith("serving_default/never: ")


def test_variants_are_not_run(saved: Saver, tmp_path: Path) -> None:
    """A list of tensors as an output can be neither fetched nor compared: said, and nothing is called passed."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        tf.raw_ops.TensorListFromTensor(tensor=x, element_shape=[4], name="held")

    options = ArtifactOptions(outputs={"held": "held"})
    request = request_of(Path(saved(build).directory), options)
    result = verified(request, converted(request, tmp_path).directory)
    assert result.verdict == "not_run"
    assert "held:0 is a variant" in result.reason


def test_goldens_of_a_counter_are_of_its_first_call(saved: Saver, tmp_path: Path) -> None:
    """Recorded outputs are held against a candidate whose state the samples have not changed yet."""

    def build() -> None:
        x, count = v1.placeholder(tf.float32, [None, 4], name="x"), ref("count", 0.0)
        tf.add(x, v1.assign_add(count, 1.0) * 1.0, name="y")

    request = saved(build)
    model = converted(request, tmp_path)
    x = np.zeros((2, 4), np.float32)
    np.savez(tmp_path / "samples.npz", x=x)
    options = ArtifactOptions(samples=str(tmp_path / "samples.npz"), goldens=goldens(tmp_path, y=x + 1))
    result = verified(replace(request, options=options), model.directory)
    assert {output.output: output.verdict for output in result.outputs} == {"y": "passed", "y (golden)": "passed"}


def test_candidate_that_refuses_recorded_samples_has_failed(saved: Saver, tmp_path: Path) -> None:
    """Goldens that cannot be compared since the candidate fails are a failure, and no crash."""
    x = np.zeros((2, 4), np.float32)
    np.savez(tmp_path / "samples.npz", x=x)
    options = ArtifactOptions(samples=str(tmp_path / "samples.npz"), goldens=goldens(tmp_path, logits=x[:, :3]))
    request = replace(saved(linear), options=options)
    model = converted(request, tmp_path)
    loaded = tf.saved_model.load(str(model.directory))
    (variable,) = loaded.signatures["serving_default"].variables

    def refuse(x: Any) -> dict[str, Any]:
        with tf.control_dependencies([tf.raw_ops.Assert(condition=tf.shape(x)[0] > 99, data=["no"])]):
            return {"logits": x @ variable, "probabilities": x @ variable}

    broken = tf.function(refuse, input_signature=[tf.TensorSpec([None, 4], name="x")])
    loaded.broken = broken
    tf.saved_model.save(loaded, str(model.directory), signatures={"serving_default": broken})
    result = verified(request, model.directory)
    assert {output.output: output.verdict for output in result.outputs}["logits (golden)"] == "failed"
