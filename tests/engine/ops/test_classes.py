import re
from typing import Any, Final

import pytest
from tensorflow.core.framework import op_def_pb2
from tensorflow.python.client import pywrap_tf_session

from job.engine.ops.classes import CLASS_OF, CLASSES, FILE, OF_THE_CUDA_BUILD, UNDECIDED, as_markdown, updated, written
from job.engine.ops.policy import CONDITIONS
from tests.jobs import ROOT

OUTSIDE: Final = re.compile(
    r"(.*_)?(file|filename|filenames|files|path|paths|dir|directory|prefix|address|url|urls|protocol|host|hostname"
    r"|descriptor_source|query|executable)"
)
"""What an input or attribute is called that names something outside the graph."""

HARMLESS: Final = frozenset({"CTCBeamSearchDecoder", "ShardedFilename", "ShardedFilespec", "TensorSliceDataset"})
"""Ops whose words mean something else: paths through a lattice, names that are put together and not opened."""


def registered() -> dict[str, Any]:
    """Return the ops of this TensorFlow by name."""
    listed = op_def_pb2.OpList.FromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
    return {op.name: op for op in listed.op}


def test_every_registered_op_is_judged() -> None:
    """A TensorFlow with a new op fails here until somebody has put it into a class: run scripts/op-policy."""
    assert sorted({*registered(), *OF_THE_CUDA_BUILD} - CLASS_OF.keys()) == []


def test_every_op_is_in_one_class() -> None:
    """No op is judged twice, none is left undecided, and every class has its reason."""
    listed = [op for one in CLASSES for op in one.ops]
    assert len(listed) == len(set(listed)) == len(CLASS_OF)
    assert UNDECIDED.name not in {one.name for one in CLASSES}
    assert all(re.match(r"[a-z]+s\b", one.reason) for one in CLASSES)
    assert {one.runs for one in CLASSES} == {"always", "sometimes", "never"}


@pytest.mark.skipif("_MklConv2D" not in registered(), reason="this TensorFlow is built without some ops")
def test_the_list_holds_no_op_that_is_gone() -> None:
    """What the installed TensorFlow has no more is not in the list, but for what its CUDA build has alone."""
    assert sorted(CLASS_OF.keys() - registered().keys() - OF_THE_CUDA_BUILD) == []


def test_what_may_run_sometimes_has_a_condition() -> None:
    """The list and the code agree on which ops are judged by their attributes."""
    assert {op for op, one in CLASS_OF.items() if one.runs == "sometimes"} == CONDITIONS.keys()


def test_what_may_always_run_names_nothing_outside_the_graph() -> None:
    """No op that may run without a condition has an input or attribute called after a file, a directory or a host."""
    named = {
        op: [name for name in (*_names(op_def.input_arg), *_names(op_def.attr)) if OUTSIDE.fullmatch(name)]
        for op, op_def in registered().items()
        if op in CLASS_OF and CLASS_OF[op].runs == "always" and op not in HARMLESS
    }
    assert {op: names for op, names in named.items() if names} == {}


def _names(described: Any) -> list[str]:
    return [one.name for one in described]


def test_new_and_gone_ops_are_seen() -> None:
    """Another TensorFlow's new op waits in a class of its own, which may never run, and one that is gone goes."""
    ops = (*(CLASS_OF.keys() - {"Abs"}), "BrandNew")
    found = updated(CLASSES, ops)
    assert found[-1] == UNDECIDED.__class__(name="undecided", runs="never", reason=UNDECIDED.reason, ops=("BrandNew",))
    assert "Abs" not in next(one.ops for one in found if one.name == "arithmetic")
    assert updated(found, CLASS_OF)[:-1] == tuple(one for one in updated(CLASSES, ops)[:-1])


def test_file_and_documentation_are_as_the_script_writes_them() -> None:
    """Nobody has to wonder which of them is right: scripts/op-policy changes nothing."""
    text = FILE.read_text(encoding="utf-8")
    head = "".join(line for line in text.splitlines(keepends=True) if line.startswith("#"))
    assert text == written(CLASSES, head)
    assert (ROOT / "docs" / "ops.md").read_text(encoding="utf-8").endswith(as_markdown(CLASSES))
