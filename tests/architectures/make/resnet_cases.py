"""What every ResNet of the wild has in common here: a case, its names in training, and how wide it is."""

from __future__ import annotations  # Python 3.7 runs this

import contextlib
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest import mock

import numpy as np
import tensorflow as tf  # noqa: TID253 - 1.15.5 runs the originals

from tests.architectures import weights
from tests.architectures.make import recording

NARROW = 8
"""Divides every layer's width: names, topology and arithmetic stay, and a test takes a second."""

SIZES = (224, 225)
LOGITS = ("logits",)
DEBIASING = ("/biased", "/local_step")
"""Ends of what assign_moving_average(zero_debias=True) puts beside a moving average: Keras 2.2.4 asks for it."""


class Case:
    """One original: how it is built, where it comes from, what its names do not tell."""

    def __init__(
        self,
        name: str,
        origin: str,
        build: Callable[[dict[str, Any]], dict[str, Any]],
        facts: dict[str, str],
        *,
        classes: int = 1000,
        sizes: tuple[int, ...] = SIZES,
        keys: tuple[str, ...] = LOGITS,
        train: Callable[[Any, Any], None] | None = None,
        scales: dict[str, float] | None = None,
    ) -> None:
        self.name = name
        self.origin = origin
        self.build = build
        self.facts = facts
        self.classes = classes
        self.sizes = sizes
        self.keys = keys
        self.train = train
        self.scales = scales or {}

    def value_of(self, name: str, shape: Sequence[int]) -> Any:
        """Return a variable's value: of a head before a softmax a scaled one, or probabilities would be 0 and 1."""
        return weights.value_of(name, shape) * np.float32(self.scales.get(name, 1))

    def write(self) -> None:
        """Run the case and write it, with what its training puts beside the model."""
        variables, answers = recording.of_images(self.build, self.sizes, value_of=self.value_of)
        extras = extras_of(self.train, variables) if self.train else {}
        extras.update({name: variables.pop(name) for name in list(variables) if name.endswith(DEBIASING)})
        notes = f"every layer {NARROW} times narrower" if is_narrow(variables) else "full width"
        description = self.describe(variables, extras, notes, self.scales)
        if any(name.endswith(recording.AVERAGE) for name in extras):
            averaged = recording.of_images(self.build, self.sizes[:1], of_averages=True).outputs
            answers["averages_logits_224"] = averaged["logits_224"]
            description["averages"] = {"logits": ["averages_logits_224"]}
        self.record(description, answers)

    def record(self, description: dict[str, Any], answers: dict[str, Any]) -> None:
        """Write the files, with the answers that the description names and no others."""
        named = [*description["outputs"].values(), *description.get("averages", {}).values()]
        recording.write(self.name, description, {name: answers[name] for names in named for name in names})

    def describe(
        self, variables: dict[str, list[int]], extras: dict[str, list[int]], notes: str, scales: dict[str, float]
    ) -> dict[str, Any]:
        """Return what the JSON says."""
        description = recording.describe_images(self.origin, variables, self.sizes, notes, extras, classes=self.classes)
        sizes = {key: self.sizes if key == "logits" else self.sizes[:1] for key in self.keys}
        description["outputs"] = {key: [f"{key}_{pixels}" for pixels in sizes[key]] for key in self.keys}
        nested = {key: nest(description[key]) for key in ("variables", "extras")}
        return dict(description, facts=self.facts, scales=scales, **nested)


def nest(shapes: dict[str, list[int]]) -> dict[str, Any]:
    """Return shapes by name as a tree of scopes, a third as long: ``{"conv1": {"weights": [7, 7, 3, 8]}}``."""
    tree: dict[str, Any] = {}
    for name, shape in shapes.items():
        *scopes, last = name.split("/")
        branch = tree
        for scope in scopes:
            branch = branch.setdefault(scope, {})
        if last in branch or not isinstance(branch, dict):
            raise ValueError(f"both a scope and a variable: {name}")
        branch[last] = shape
    return tree


def is_narrow(variables: dict[str, list[int]]) -> bool:
    """Tell whether a model is a narrow one: no convolution is the root of full width."""
    return not any(list(shape) == [7, 7, 3, 64] for shape in variables.values())


def extras_of(train: Callable[[Any, Any], None], variables: dict[str, list[int]]) -> dict[str, list[int]]:
    """Return what a training graph holds beside the model, and check that it holds all of the model."""
    with tf.Graph().as_default():
        train(tf.compat.v1.placeholder(tf.float32, (2, 224, 224, 3)), tf.zeros([2], tf.int64))
        held = {variable.op.name: variable.shape.as_list() for variable in tf.compat.v1.global_variables()}
    missing = sorted(set(variables) - set(held))
    if missing:
        raise ValueError(f"not in the training graph: {missing[:5]}")
    return {name: shape for name, shape in held.items() if name not in variables}


def minimise(logits: Any, labels: Any, optimizer: Any) -> Any:
    """Add the training step of an optimizer, which makes the slots and the global step."""
    loss = tf.compat.v1.losses.sparse_softmax_cross_entropy(labels, logits)
    return optimizer.minimize(loss, tf.compat.v1.train.get_or_create_global_step())


def momentum() -> Any:
    """Return the optimizer of most: SGD with momentum."""
    return tf.compat.v1.train.MomentumOptimizer(0.1, 0.9)


def always(*_: Any) -> bool:
    """Agree with every call."""
    return True


def dividing(
    function: Callable[..., Any], position: int, name: str, divisor: int, only: Callable[..., bool] = always
) -> Callable[..., Any]:
    """Return a function with one argument divided, by position or by name, where `only` agrees with the call."""

    def narrower(*arguments: Any, **named: Any) -> Any:
        if not only(arguments, named):
            return function(*arguments, **named)
        if name in named:
            return function(*arguments, **dict(named, **{name: named[name] // divisor}))
        changed = list(arguments)
        changed[position] //= divisor
        return function(*changed, **named)

    return narrower


@contextlib.contextmanager
def patched(*changes: tuple[Any, str, Any]) -> Iterator[None]:
    """Replace attributes, given as (owner, name, value), for a while."""
    with contextlib.ExitStack() as stack:
        for owner, name, value in changes:
            stack.enter_context(mock.patch.object(owner, name, value))
        yield


def stand_in(name: str) -> types.ModuleType:
    """Return a module that accepts whatever an original says to it: loggers, Horovod, data sets."""
    module = types.ModuleType(name)
    module.__dict__["__getattr__"] = lambda _: mock.MagicMock()
    return module
