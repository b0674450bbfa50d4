"""What the forkserver finds out before it forks."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorflow.python.autograph.impl import api

from job.engine import caches
from tests.jobs import environment

FILLED = """
import os
import job.engine.stages as stages
from tensorflow.python.eager import context
before = len(os.listdir("/proc/self/task"))
stages.fill_caches()
print(len(os.listdir("/proc/self/task")) - before, context.context()._initialized)
"""


def test_saving_translates_nothing_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wrapper of signatures that TensorFlow makes anew for each model is found in autograph's cache."""
    caches.fill_caches()
    translated = list[Any]()
    monkeypatch.setattr(api._TRANSPILER, "transform_ast", lambda node, _: translated.append(node))
    double = tf.function(lambda x: 2 * x, input_signature=[tf.TensorSpec([], name="x")], autograph=False)
    tf.saved_model.save(tf.Module(), str(tmp_path), signatures=double.get_concrete_function())
    assert translated == []


def test_caches_are_filled_without_an_op_and_without_a_thread() -> None:
    """A forkserver that had run or started one would hang its children."""
    ended = subprocess.run(
        [sys.executable, "-c", FILLED], env=environment(), capture_output=True, text=True, check=True
    )
    assert ended.stdout.split() == ["0", "False"]
