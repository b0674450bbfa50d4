from dataclasses import replace

import pytest

from job.errors import ParityFailed
from job.gate import as_committed, check_proven, failure, proven, unproven
from job.records import Commit, Finding, Format, Signature, SourceSummary
from job.results import DivergingNode, OutputParity, ParityResult

OUTPUT = OutputParity(
    signature="serving_default",
    output="y",
    tensor="y:0",
    dtype="float32",
    verdict="not_run",
    tolerance=0.0,
    reason="no",
)
EXACT = ParityResult(
    mode="exact", verdict="not_run", outputs=(OUTPUT, replace(OUTPUT, output="z", verdict="passed", reason=""))
)


def as_run(method: str, verdict: str) -> ParityResult:
    said = replace(OUTPUT, method=method, verdict=verdict, reason="")  # type: ignore[arg-type]
    return ParityResult(mode="as_run", verdict=verdict, outputs=(said,), notes=("both with oneDNN",))  # type: ignore[arg-type]


def test_outputs_that_need_onednn_are_proven_with_it() -> None:
    """What the exact run could not do counts as proven where both sides ran with oneDNN, and the notes say so."""
    found = proven(EXACT, as_run("onednn", "passed"))
    assert (found.verdict, found.reason, found.notes) == ("passed", "", ("both with oneDNN",))
    assert [output.method for output in found.outputs] == ["onednn", "values"]
    assert proven(EXACT, as_run("onednn", "failed")).verdict == "failed"


def test_a_run_with_defaults_proves_nothing() -> None:
    """A pass within the looser tolerance of users' settings does not replace one that is missing."""
    assert proven(EXACT, as_run("values", "passed")) is EXACT


def test_proof_that_is_missing_is_named() -> None:
    """The message names the outputs that nobody compared, why, and where the report lies; what passed passes."""
    with pytest.raises(ParityFailed, match=r"^the answers of serving_default/y were not compared: no; out/net; record"):
        check_proven(replace(EXACT, reason="no"), "out/net")
    with pytest.raises(ParityFailed, match=r"^the answers were not compared: nothing could be compared; record"):
        check_proven(None)
    check_proven(replace(EXACT, verdict="passed"))


@pytest.mark.parametrize(("said", "verdict"), [("passed", "passed"), ("not_run", "not_run"), ("unheard of", "not_run")])
def test_a_commit_says_whether_it_was_proven(said: str, verdict: str) -> None:
    """Only what says that it passed did; a later version's word is none of ours."""
    commit = Commit(artifact="net", plan="p", attempt="a", files=(), verdict=said, versions={})
    assert as_committed(commit).verdict == verdict


def test_failure_names_the_first_node() -> None:
    """The message says what differs, and at which node it begins where that is known."""
    failed = replace(EXACT, verdict="failed", reason="relative error 1 exceeds 1e-05")
    assert failure(failed) == "the SavedModel differs from the TF1 graph: relative error 1 exceeds 1e-05"
    node = DivergingNode(node="conv/Relu", op="Relu", reason="relative error 2")
    assert failure(replace(failed, first_diverging=node)).endswith(
        "the first node that differs is conv/Relu (Relu): relative error 2"
    )


@pytest.mark.parametrize(
    ("beside", "code", "verdicts", "found"),
    [
        ("y", "other", ("failed", "not_run"), ["serving_default"]),
        ("y", "other", ("failed",), []),
        ("", "other", ("failed", "not_run"), []),
        ("", "batch_freed", ("not_run",), ["free_batch"]),
        ("y", "batch_freed", ("failed",), []),
    ],
)
def test_unproven_is_what_the_job_added(beside: str, code: str, verdicts: tuple[str, ...], found: list[str]) -> None:
    """Added signatures count with the verdicts that are asked for, and a freed batch where anything has one."""
    summary = SourceSummary(
        format=Format.GRAPH_DEF,
        signatures=(Signature(key="serving_default", inputs=(), outputs=(), beside=beside),),
        findings=(Finding(code=code, cause="said"),),
    )
    assert unproven(summary, EXACT, *verdicts) == found
