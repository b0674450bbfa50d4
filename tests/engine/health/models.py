"""Batch norm as TF1's libraries write it, with variables whose values tell training and inference apart."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.training import moving_averages

from job.engine.assembling import read_source
from job.engine.health.path import path_of
from job.engine.health.subject import Subject
from job.engine.source_graph import SourceGraph
from job.records import ArtifactOptions, Finding
from job.requests import SourceRequest
from tests.engine.models import v1

CHANNELS = 3
MEAN, VARIANCE = np.array([0.5, -1.0, 2.0], np.float32), np.array([1.5, 0.25, 4.0], np.float32)
GAMMA, BETA = np.array([2.0, -1.0, 0.5], np.float32), np.array([0.1, 0.2, -0.3], np.float32)
EPSILON = 1e-3
X = np.random.default_rng(0).normal(size=(4, 5, 6, CHANNELS)).astype(np.float32)
INFERRED = (X - MEAN) / np.sqrt(VARIANCE + EPSILON) * GAMMA + BETA
"""What the batch norms below answer to `X` with their moving statistics."""

Normalise = Callable[[Any], Any]


def variable(name: str, value: Any, *, is_resource: bool = False, **how: Any) -> Any:
    """Return a variable with a value."""
    how = {"shape": np.shape(value), "initializer": v1.constant_initializer(value), "use_resource": is_resource, **how}
    return v1.get_variable(name, **how)


def parameters(*, is_resource: bool = False) -> tuple[Any, Any, Any, Any]:
    """Return gamma, beta, moving mean and moving variance, named as TF1's layers name them."""
    names = {"gamma": GAMMA, "beta": BETA, "moving_mean": MEAN, "moving_variance": VARIANCE}
    made = [
        variable(name, value, is_resource=is_resource, trainable=not name.startswith("moving"))
        for name, value in names.items()
    ]
    return made[0], made[1], made[2], made[3]


def averaged(variable: Any, value: Any) -> Any:
    """Return the update op that TF1's layers make."""
    return moving_averages.assign_moving_average(variable, value, 0.9, zero_debias=False)


def fused(x: Any, *, is_resource: bool = False, updates: bool = True) -> Any:
    """Return the fused form in training mode, its updates beside it."""
    with v1.variable_scope("bn"):
        gamma, beta, mean, variance = parameters(is_resource=is_resource)
        y, batch_mean, batch_variance = v1.nn.fused_batch_norm(x, gamma, beta, epsilon=EPSILON, is_training=True)
        if updates:
            averaged(mean, batch_mean)
            averaged(variance, batch_variance)
    return y


def unfused(x: Any) -> Any:
    """Return ``tf.nn.moments`` and ``tf.nn.batch_normalization``."""
    with v1.variable_scope("bn"):
        gamma, beta, mean, variance = parameters()
        batch_mean, batch_variance = tf.nn.moments(x, [0, 1, 2])
        averaged(mean, batch_mean)
        averaged(variance, batch_variance)
        return tf.nn.batch_normalization(x, batch_mean, batch_variance, beta, gamma, EPSILON)


def by_squares(x: Any) -> Any:
    """Return the variance as E[x²] - E[x]², as batch norm over several devices computes it."""
    with v1.variable_scope("bn"):
        gamma, beta, mean, variance = parameters()
        batch_mean = tf.reduce_mean(x, [0, 1, 2])
        batch_variance = tf.reduce_mean(tf.square(x), [0, 1, 2]) - tf.square(batch_mean)
        averaged(mean, batch_mean)
        averaged(variance, batch_variance)
        return tf.nn.batch_normalization(x, batch_mean, batch_variance, beta, gamma, EPSILON)


def by_hand(x: Any) -> Any:
    """Return what tutorials of 2016 write: assignments that the answer waits for, and names of their own."""
    gamma, beta = variable("scale", GAMMA), variable("shift", BETA)
    mean, variance = variable("m", MEAN, trainable=False), variable("v", VARIANCE, trainable=False)
    batch_mean, batch_variance = tf.nn.moments(x, [0, 1, 2])
    updates = [
        v1.assign(mean, mean * 0.9 + batch_mean * 0.1),
        v1.assign(variance, variance * 0.9 + batch_variance * 0.1),
    ]
    with tf.control_dependencies(updates):
        return gamma * (x - batch_mean) / tf.sqrt(batch_variance + EPSILON) + beta


def network(normalise: Normalise) -> Callable[[], None]:
    """Return a builder of ``x → normalise → y``."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 5, 6, CHANNELS], name="x")
        tf.identity(normalise(x), name="y")

    return build


def asking(request: SourceRequest, **options: Any) -> SourceRequest:
    """Return a request with options."""
    return replace(request, options=ArtifactOptions(outputs={"y": "y:0"}, **options))


def subject_of(source: SourceGraph) -> Subject:
    """Return what the checks look at."""
    path = path_of(source.graph, source.signatures, source.switches)
    return Subject(path=path, needed=source.needed, checkpoint=source.checkpoint, variables=source.variables)


def said_of(request: SourceRequest, code: str, **options: Any) -> list[Finding]:
    """Return the findings of one code that reading an artifact makes."""
    return [finding for finding in read_source(asking(request, **options)).findings if finding.code == code]
