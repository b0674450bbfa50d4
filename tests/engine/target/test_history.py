import itertools
import json
from collections.abc import Mapping
from typing import Any, Final

import pytest
import tensorflow as tf
from tensorflow.python.framework import op_def_registry

from job.engine.target.history import HISTORY, number, unknown_to
from job.records import TARGETS

TOLD: Final = json.loads(HISTORY.read_text())


def test_history_has_every_version_that_can_be_a_target() -> None:
    """Each choice of ``--target-tf`` has its ops, in order, and the last one is the TensorFlow that converts."""
    assert tuple(TOLD) == TARGETS == tuple(sorted(TARGETS, key=number))
    assert tf.__version__.startswith(f"{TARGETS[-1]}.")
    assert TOLD[TARGETS[-1]]["graph_version"] == tf.version.GRAPH_DEF_VERSION


def test_history_is_of_ops_that_are_there() -> None:
    """What the oldest lacks is registered today: the file was made of the same TensorFlow."""
    unknown = unknown_to(TARGETS[0])
    registered = {op: op_def_registry.get(op) for op in unknown.ops}
    assert [op for op, found in registered.items() if found is None] == []
    for op, name in unknown.attributes:
        assert any(attribute.name == name for attribute in op_def_registry.get(op).attr), op


def test_newer_lacks_less() -> None:
    """From version to version less is unknown, and nothing to the newest."""
    lacks: list[tuple[Mapping[Any, str], ...]] = [
        (unknown.ops, unknown.attributes, unknown.values) for unknown in map(unknown_to, TARGETS)
    ]
    for older, newer in itertools.pairwise(lacks):
        assert all(after.items() <= before.items() for before, after in zip(older, newer, strict=True))
    assert lacks[-1] == ({}, {}, {})


@pytest.mark.parametrize(("version", "op"), [("2.10", "DisableCopyOnRead"), ("2.5", "RiscAbs")])
def test_op_is_known_from_its_first_version_on(version: str, op: str) -> None:
    """An op is unknown to the version before the one that brought it, and known to that one; 2.10 comes after 2.9."""
    before = TARGETS[TARGETS.index(version) - 1]
    assert unknown_to(before).ops[op] == version
    assert op not in unknown_to(version).ops
