"""The flags, from the command line to a worker that imports the user's code."""

import json
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
import tensorflow as tf

from tests.engine import models
from tests.jobs import ROOT, Finished, run_job

v1 = tf.compat.v1

pytestmark = pytest.mark.slow

CODE = """
import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()


def build():
    x = tf.placeholder(tf.float32, [None, 2], name="x")
    return {"score": tf.matmul(x, tf.get_variable("head/w", [2, 1]))}
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Save weights without a graph, and with one beside that is not to be asked about."""
    for name in ("bare", "whole"):
        with models.v1_graph() as graph:
            weights = models.ref("net/w", np.ones([2, 1], np.float32) * (1 + len(name)))
            tf.matmul(v1.placeholder(tf.float32, [None, 2], name="x"), weights, name="y")
            models.save_checkpoint(graph, tmp_path / "models" / name)
    (tmp_path / "models/bare/model.ckpt.meta").unlink()
    (tmp_path / "models/rules.yaml").write_text("- {pattern: ^net/, replace: head/}")
    (tmp_path / "code").mkdir()
    return tmp_path / "models"


def inspected(source: Path, code: str, *flags: str) -> Finished:
    """Inspect, with the user's code on Python's path."""
    folder = source.parent / "code"
    (folder / "users_nets.py").write_text(dedent(code))
    extra = {"PYTHONPATH": f"{ROOT}:{folder}"}
    return run_job("inspect", str(source), "--json", "--architecture", "users_nets:build", *flags, extra=extra)


def test_function_and_rules_of_the_user_make_a_checkpoint_convertible(source: Path) -> None:
    """The model that has a graph is converted by it; the report names what the rule matched."""
    ended = inspected(source, CODE, "--rules", str(source / "rules.yaml"))
    found = {one["artifact"]["name"]: one for one in json.loads(ended.stdout)["artifacts"]}
    assert ended.code == 0
    assert all(one["will_convert"] for one in found.values())
    bare = found["bare/model.ckpt"]["summary"]
    assert bare["producer"] == "users_nets:build"
    assert [spec["key"] for spec in bare["signatures"][0]["outputs"]] == ["score"]
    causes = {finding["code"]: finding["cause"] for finding in bare["findings"]}
    assert causes["rule_applied"] == "the rule '^net/' renamed 1 tensors: net/w to head/w"
    assert [event["artifact"] for event in ended.named("given_graph_not_used")] == ["whole/model.ckpt"]


def test_error_in_the_user_s_function_is_one_line(source: Path) -> None:
    """Code 2, file and line, and no traceback."""
    ended = inspected(source, "def build():\n    return nowhere\n")
    found = {one["artifact"]["name"]: one for one in json.loads(ended.stdout)["artifacts"]}
    error = found["bare/model.ckpt"]["error"]
    assert ended.code == 2
    assert error["what"] == "users_nets:build failed: NameError: name 'nowhere' is not defined"
    assert error["where"] == "users_nets.py:2"
    assert "Traceback" not in ended.stderr + ended.stdout
    assert found["whole/model.ckpt"]["will_convert"]
