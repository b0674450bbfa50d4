import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.engine.assembling import read_source
from job.errors import BadInput, UsageError
from job.records import ArtifactOptions, Finding, Format
from job.requests import SourceRequest
from tests.engine import models

X = np.array([[1.0, -2.0]], np.float32)
W = np.array([[2.0], [3.0]], np.float32)
B = np.array([0.5], np.float32)

v1 = tf.compat.v1

Writes = Callable[[str], str]
"""What the fixture `module` does."""

_numbers = itertools.count()


@pytest.fixture
def module(tmp_path: Path) -> Iterator[Writes]:
    """Write a module of a user's, under a new name: Python imports each but once."""
    root, before = tmp_path / "code", list(sys.path)
    root.mkdir()

    def write(text: str) -> str:
        name = f"users_code_{next(_numbers)}"
        (root / f"{name}.py").write_text(dedent(text))
        return f"{name}:build@{root}"

    yield write
    sys.path[:] = before


def checkpoint(folder: Path, **values: Any) -> SourceRequest:
    """Save tensors under their names, ``__`` for a slash, without a graph."""
    with models.v1_graph() as graph:
        for name, value in values.items():
            models.ref(name.replace("__", "/"), value)
        request = models.save_checkpoint(graph, folder)
    (folder / "model.ckpt.meta").unlink()
    return replace(request, format=Format.CHECKPOINT)


def built_by(request: SourceRequest, architecture: str, rules: str = "") -> SourceRequest:
    path = Path(request.directory, "rules.yaml")
    path.write_text(rules)
    options = ArtifactOptions(architecture=architecture, rules=str(path) if rules else "")
    return replace(request, options=options)


def answers(request: SourceRequest, folder: Path) -> dict[str, Any]:
    """Convert, and return the outputs for `X` by their keys."""
    converted = models.converted(request, folder)
    signature = converted.signature()
    return dict(zip((spec.key for spec in signature.outputs), converted.candidate.run(signature, [X]), strict=True))


def found(request: SourceRequest) -> dict[str, Finding]:
    return {finding.code: finding for finding in read_source(request).findings}


V1 = """
import tensorflow.compat.v1 as tf

def build():
    x = tf.placeholder(tf.float32, [None, 2], name="x")
    w = tf.get_variable("dense/w", [2, 1])
    b = tf.get_variable("dense/b", [1])
    y = tf.add(tf.matmul(x, w), b, name="head/y")
    return RETURNED
"""

KERAS = """
import keras

def build():
    x = keras.Input([2], name="features")
    y = keras.layers.Dense(1, name="dense")(keras.layers.Dropout(0.5)(x))
    return keras.Model(x, RETURNED)
"""


@pytest.mark.parametrize(
    ("returned", "keys"),
    [
        ("y", (["x"], ["y"])),
        ("[y, tf.nn.relu(y, name='r')]", (["x"], ["r", "y"])),
        ("{'score': y}", (["x"], ["score"])),
        ("(x, y)", (["x"], ["y"])),
        ("({'image': x}, {'score': y})", (["image"], ["score"])),
    ],
)
def test_function_of_tensorflow_1_answers_with_the_checkpoint(
    tmp_path: Path, module: Writes, returned: str, keys: tuple[list[str], list[str]]
) -> None:
    """Whatever it returns that names outputs becomes the signature, with its placeholders for inputs."""
    request = built_by(checkpoint(tmp_path / "m", dense__w=W, dense__b=B), module(V1.replace("RETURNED", returned)))
    (signature,) = read_source(request).signatures
    assert [sorted(spec.key for spec in specs) for specs in (signature.inputs, signature.outputs)] == list(keys)
    np.testing.assert_array_equal(answers(request, tmp_path)[keys[1][-1]], X @ W + B)


@pytest.mark.parametrize(("returned", "key"), [("y", "dense"), ("{'score': y}", "score")])
def test_keras_3_model_answers_with_the_checkpoint(tmp_path: Path, module: Writes, returned: str, key: str) -> None:
    """Its variables are found by name, in inference: dropout is off, and its seed is no weight."""
    stored = checkpoint(tmp_path / "m", dense__kernel=W, dense__bias=B)
    request = built_by(stored, module(KERAS.replace("RETURNED", returned)))
    source = read_source(request)
    assert [spec.key for spec in source.signatures[0].inputs] == ["features"]
    assert sorted(variable.name for variable in source.variables) == ["dense/bias", "dense/kernel"]
    np.testing.assert_allclose(answers(request, tmp_path)[key], X @ W + B, rtol=1e-6)


def test_keras_3_model_of_several_inputs(tmp_path: Path, module: Writes) -> None:
    """Each goes where its name says."""
    request = checkpoint(tmp_path / "m", dense__kernel=W)
    source = read_source(
        built_by(
            request,
            module("""
            import keras

            def build():
                a, b = keras.Input([2], name="a"), keras.Input([2], name="b")
                dense = keras.layers.Dense(1, use_bias=False, name="dense")
                return keras.Model({"b": b, "a": a}, [dense(a - b), dense(b)])
            """),
        )
    )
    assert sorted(spec.key for spec in source.signatures[0].inputs) == ["a", "b"]
    assert len(source.signatures[0].outputs) == 2


def test_sequential_answers_with_the_checkpoint(tmp_path: Path, module: Writes) -> None:
    """It is a model as others are once it says what it takes; an input is called what its layer is."""
    code = module("""
    import keras

    def build():
        return keras.Sequential([keras.layers.InputLayer([2], name="row"), keras.layers.Dense(1, name="dense")])
    """)
    request = built_by(checkpoint(tmp_path / "m", dense__kernel=W, dense__bias=B), code)
    assert [spec.key for spec in read_source(request).signatures[0].inputs] == ["row"]
    np.testing.assert_allclose(answers(request, tmp_path)["dense"], X @ W + B, rtol=1e-6)


def test_sequential_without_an_input_is_refused(tmp_path: Path, module: Writes) -> None:
    """Nothing says what such a model takes."""
    code = module("import keras\ndef build():\n    return keras.Sequential([keras.layers.Dense(1)])\n")
    with pytest.raises(UsageError, match=r"does not say what its inputs are.*keras\.Input"):
        read_source(built_by(checkpoint(tmp_path / "m", dense__kernel=W), code))


def test_partitioned_variables_are_found_in_their_tensor(tmp_path: Path, module: Writes) -> None:
    """TensorFlow stores the parts of a variable as slices of one."""
    code = module("""
    import tensorflow.compat.v1 as tf

    def build():
        x = tf.placeholder(tf.float32, [None, 2], name="x")
        with tf.variable_scope("all", partitioner=tf.fixed_size_partitioner(2)):
            w = tf.get_variable("w", [2, 1])
        return tf.matmul(x, tf.convert_to_tensor(w), name="y")
    """)
    request = built_by(checkpoint(tmp_path / "m", all__w=W), code)
    np.testing.assert_array_equal(answers(request, tmp_path)["y"], X @ W)


def test_saver_in_the_graph_says_what_is_stored(tmp_path: Path, module: Writes) -> None:
    """A function may restore under other names, as it did when it was TensorFlow 1's."""
    code = module("""
    import tensorflow.compat.v1 as tf

    def build():
        x = tf.placeholder(tf.float32, [None, 2], name="x")
        w = tf.get_variable("w", [2, 1])
        tf.train.Saver({"net/kernel": w})
        return tf.matmul(x, w, name="y")
    """)
    request = built_by(checkpoint(tmp_path / "m", net__kernel=W), code)
    np.testing.assert_array_equal(answers(request, tmp_path)["y"], X @ W)


def test_saver_of_averages_finds_them_alone(tmp_path: Path, module: Writes) -> None:
    """An evaluation's checkpoint may hold nothing but averages, and its function say so."""
    code = module("""
    import tensorflow.compat.v1 as tf

    def build():
        x = tf.placeholder(tf.float32, [None, 2], name="x")
        w = tf.get_variable("w", [2, 1])
        tf.train.Saver({"w/ExponentialMovingAverage": w})
        return tf.matmul(x, w, name="y")
    """)
    request = built_by(checkpoint(tmp_path / "m", w__ExponentialMovingAverage=W), code)
    np.testing.assert_array_equal(answers(request, tmp_path)["y"], X @ W)


def test_training_switch_is_no_input(tmp_path: Path, module: Writes) -> None:
    """A function that was written for training and inference asks which; inference is the answer."""
    code = module("""
    import tensorflow.compat.v1 as tf

    def build():
        x = tf.placeholder(tf.float32, [None, 2], name="x")
        is_training = tf.placeholder(tf.bool, [], name="is_training")
        w = tf.get_variable("w", [2, 1])
        return tf.cond(is_training, lambda: tf.matmul(x, w) * 2, lambda: tf.matmul(x, w), name="y")
    """)
    request = built_by(checkpoint(tmp_path / "m", w=W), code)
    (signature,) = read_source(request).signatures
    assert [spec.key for spec in signature.inputs] == ["x"]
    np.testing.assert_array_equal(list(answers(request, tmp_path).values()), [X @ W])


def test_module_that_turns_tensorflow_2_off(tmp_path: Path, module: Writes) -> None:
    """It does so for itself alone: shapes are as it expects them, and the job goes on in TensorFlow 2."""
    code = module("""
    import tensorflow.compat.v1 as tf
    tf.disable_v2_behavior()
    ONE = tf.constant(1.0)

    def build():
        x = tf.placeholder(tf.float32, [None, 2], name="x")
        w = tf.get_variable("w", [x.shape[1].value, 1])
        return tf.matmul(x, w, name="y")
    """)
    request = built_by(checkpoint(tmp_path / "m", w=W), code)
    np.testing.assert_array_equal(answers(request, tmp_path)["y"], X @ W)
    assert tf.executing_eagerly()


def test_slots_averages_and_steps_are_no_weights(tmp_path: Path, module: Writes) -> None:
    """What training left beside the weights is not asked of the model."""
    left = {"dense__w__Adam": W, "dense__w__Adam_1": W, "beta1_power": 0.9, "global_step": 3}
    averages = {"dense__w__ExponentialMovingAverage": W, "dense__b__ExponentialMovingAverage": B}
    request = checkpoint(tmp_path / "m", dense__w=W, dense__b=B, **left, **averages)
    cause = found(built_by(request, module(V1.replace("RETURNED", "y"))))["architecture_given"].cause
    assert "its 2 tensors are those of the checkpoint" in cause


def test_variables_that_no_output_needs_need_no_tensor(tmp_path: Path, module: Writes) -> None:
    """An auxiliary head may be in the checkpoint, the graph or both."""
    aux = "tf.get_variable('aux/w', [3]) and None or tf.get_variable('aux/v', [3])"
    code = V1.replace("    return RETURNED", f"    {aux.replace(' and None or ', '; ')}\n    return y")
    request = checkpoint(tmp_path / "m", dense__w=W, dense__b=B, aux__w=[1.0, 2.0, 3.0])
    np.testing.assert_array_equal(answers(built_by(request, module(code)), tmp_path)["y"], X @ W + B)


def test_what_does_not_fit_is_listed(tmp_path: Path, module: Writes) -> None:
    """Missing, left over and of another shape, each with names; the closest name is suggested."""
    request = checkpoint(tmp_path / "m", dense__w=W.T, dense__bias=B, other=[1.0])
    with pytest.raises(BadInput) as caught:
        read_source(built_by(request, module(V1.replace("RETURNED", "y"))))
    assert "1 missing: dense/b" in caught.value.what
    assert "2 that it has not: dense/bias, other" in caught.value.what
    assert "1 of another shape: dense/w [1,2], not [2,1]" in caught.value.what
    assert "is it dense/bias for dense/b? --rules renames tensors" in caught.value.remedy


def test_rules_rename_in_their_order(tmp_path: Path, module: Writes) -> None:
    """Each takes what the one before has made, and ``null`` leaves tensors out."""
    request = checkpoint(tmp_path / "m", dense__b=B, tower__fc__kernel=W, tower__extra=W)
    rules = r"""
    - {pattern: ^tower/, replace: ""}
    - {pattern: ^fc/(.)ernel, replace: dense/\1}
    - {pattern: ^dense/k$, replace: dense/w}
    - {pattern: ^extra$, replace: null}
    - {pattern: ^dense/c$, replace: gone}
    """
    request = built_by(request, module(V1.replace("RETURNED", "y")), dedent(rules))
    np.testing.assert_array_equal(answers(request, tmp_path)["y"], X @ W + B)
    causes = [finding.cause for finding in read_source(request).findings if finding.code.startswith("rule_")]
    assert causes == [
        "the rule '^tower/' renamed 2 tensors: tower/extra to extra, tower/fc/kernel to fc/kernel",
        "the rule '^fc/(.)ernel' renamed 1 tensors: fc/kernel to dense/k",
        "the rule '^dense/k$' renamed 1 tensors: dense/k to dense/w",
        "the rule '^extra$' left out 1 tensors: extra",
        "the rule '^dense/c$' matched none of the checkpoint's names",
    ]


def test_rules_that_make_two_tensors_one_are_refused(tmp_path: Path, module: Writes) -> None:
    """Which of them it would be is nobody's to guess."""
    request = checkpoint(tmp_path / "m", dense__b=B, one__w=W, two__w=W)
    with pytest.raises(BadInput, match="the rules give 1 names to more than one tensor: dense/w"):
        read_source(built_by(request, module(V1.replace("RETURNED", "y")), "- {pattern: .*/w, replace: dense/w}"))


def test_object_based_checkpoint_is_read_by_what_variables_were_called(tmp_path: Path, module: Writes) -> None:
    """Its own keys are paths through Python objects, and it records the names of variables with them."""
    folder = tmp_path / "m"
    folder.mkdir()
    kernel, bias = tf.Variable(W, name="dense/kernel"), tf.Variable(B, name="dense/bias")
    layer = tf.Module()
    layer.first, layer.second = kernel, bias
    tf.train.Checkpoint(model=layer).write(str(folder / "model.ckpt"))
    request = replace(models.request_of(folder), format=Format.CHECKPOINT)
    request = built_by(request, module(KERAS.replace("RETURNED", "y")))
    np.testing.assert_allclose(answers(request, tmp_path)["dense"], X @ W + B, rtol=1e-6)


@pytest.mark.parametrize(
    ("code", "what", "line"),
    [
        ("def build():\n    a = 1\n    return a / 0\n", "failed: ZeroDivisionError: division by zero", 3),
        ("def build():\n    raise SystemExit(3)\n", "failed: SystemExit: 3", 2),
        ("import sys\nsys.exit()\n", "cannot be imported: SystemExit", 2),
        ("import nowhere_at_all\n", "cannot be imported: ModuleNotFoundError: No module named 'nowhere_at_all'", 1),
        ("def build(:\n", "cannot be imported: SyntaxError: invalid syntax", 1),
        (
            "import tensorflow as tf\ndef build():\n    return tf.zeros([2]) @ tf.zeros([3, 2])\n",
            "ValueError: Shape",
            3,
        ),
        (
            "import tensorflow as tf\ndef build():\n    tf.compat.v1.layers.dense(1, 2)\n",
            "not available with Keras 3",
            3,
        ),
    ],
)
def test_error_of_the_user_s_is_told_in_one_line(
    tmp_path: Path, module: Writes, code: str, what: str, line: int
) -> None:
    """It names file and line of the user's code, however deep in TensorFlow it was raised."""
    architecture = module(code)
    with pytest.raises(UsageError) as caught:
        read_source(built_by(checkpoint(tmp_path / "m", w=W), architecture))
    assert what in caught.value.what
    assert caught.value.where == f"{architecture.partition(':')[0]}.py:{line}"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("installed", ["site-packages", "code/.venv/lib/site-packages"])
def test_line_of_the_user_s_is_not_one_of_a_library(tmp_path: Path, module: Writes, installed: str) -> None:
    """A virtual environment may lie in the user's directory, or the user's package in the environment."""
    name = f"some_library_{next(_numbers)}"
    library, user = tmp_path / installed / name, tmp_path / "site-packages"
    library.mkdir(parents=True)
    (library / "__init__.py").write_text("def fail():\n    raise ValueError('deep down')\n")
    code = f"import {name}\ndef build():\n    {name}.fail()\n"
    architecture = module(code)
    if installed == "site-packages":
        (user / "users_installed.py").write_text(code)
        architecture = f"users_installed:build@{user}"
    sys.path.append(str(library.parent))
    with pytest.raises(UsageError, match="failed: ValueError: deep down") as caught:
        read_source(built_by(checkpoint(tmp_path / "m", w=W), architecture))
    assert caught.value.where == f"{architecture.partition(':')[0]}.py:3"


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("def built():\n    pass\n", "has no function build"),
        ("build = 3\n", "has no function build"),
        ("def build(size):\n    pass\n", "missing 1 required positional argument"),
        ("def build():\n    pass\n", "returned a NoneType"),
        ("def build():\n    return []\n", "returned nothing"),
        ("def build():\n    return {'y': 3}\n", "returned an int"),
        ("def build():\n    return 'y:0'\n", "returned a str"),
        ("import tensorflow as tf\ndef build():\n    return {1: tf.zeros([2])}\n", "is called 1"),
        ("import tensorflow as tf\ndef build():\n    return tf.zeros([2]), tf.ones([2])\n", "is no placeholder"),
        (
            "import tensorflow as tf\ndef build():\n    with tf.Graph().as_default():\n        return tf.zeros([2])\n",
            "not in the graph in which it was called",
        ),
        (
            "import keras as k\nM = k.Sequential([k.Input([2]), k.layers.Dense(1)])\ndef build():\n    return M\n",
            "was not built by the function",
        ),
    ],
)
def test_function_that_returns_no_model_is_refused(tmp_path: Path, module: Writes, code: str, what: str) -> None:
    """The message says what is wrong with it."""
    with pytest.raises(UsageError, match=what):
        read_source(built_by(checkpoint(tmp_path / "m", w=W), module(code)))


def test_layers_of_one_name_are_refused(tmp_path: Path, module: Writes) -> None:
    """Both would be given the same tensor."""
    code = module("""
    import keras

    class Twice(keras.layers.Layer):
        def __init__(self):
            super().__init__(name="twice")
            self.one = keras.layers.Dense(2, use_bias=False, name="d")
            self.two = keras.layers.Dense(2, use_bias=False, name="d")

        def build(self, shape):
            self.one.build(shape)
            self.two.build(shape)

        def call(self, x):
            return self.two(self.one(x))

    def build():
        x = keras.Input([2], name="x")
        return keras.Model(x, Twice()(x))
    """)
    with pytest.raises(UsageError, match="1 names are those of more than one variable: twice/d/kernel"):
        read_source(built_by(checkpoint(tmp_path / "m", twice__d__kernel=np.eye(2, dtype=np.float32)), code))
