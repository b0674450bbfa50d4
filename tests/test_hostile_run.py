from pathlib import Path

import pytest

from tests.hostile_corpus import CASES
from tests.hostile_corpus.campaign import Guard, campaign
from tests.hostile_corpus.canaries import canaries

SHORT = (
    "recursion",
    "constant_of_8_gb",
    "fill_that_overflows",
    "checkpoint_negative_size",
    "op_ReadFile_in_functions",
    "op_MergeV2Checkpoints",
    "op_WriteFile_over",
    "op_RpcClient",
    "op_Abort_exit_0",
    "keras_storage_link",
    "asset_up",
    "tar_through_a_link",
)


@pytest.mark.slow
@pytest.mark.parametrize("guard", ["all", "sandbox"])
def test_hostile_artifacts_cost_the_good_ones_nothing(guard: Guard, tmp_path: Path) -> None:
    """Among artifacts that crash, read, write, delete and call out, every good one is published and nothing is touched.

    Once with all that guards the job, and once with the sandbox alone. The long form is ``scripts/hostile-run``.
    """
    cases = [case for case in CASES if case.name in SHORT]
    assert len(cases) == len(SHORT)
    outcome = campaign(tmp_path, good=10, cases=cases, guard=guard)
    assert outcome.lost == []
    assert outcome.surprises == []
    if guard == "all" or _is_confined(outcome.ended.events):
        assert outcome.harm == ()


def _is_confined(events: list[dict[str, object]]) -> bool:
    """Tell whether the kernel of this machine has what the sandbox needs."""
    return not any(event["event"] == "sandbox_incomplete" for event in events)


def test_canaries_see_what_is_done(tmp_path: Path) -> None:
    """Files made, changed and deleted are told, and so is every connection."""
    import socket  # noqa: PLC0415 - only here is anything called

    with canaries(tmp_path / "outside") as watched:
        assert watched.harm() == []
        (tmp_path / "outside" / "secret").write_text("other")
        (tmp_path / "outside" / "doomed" / "kept").unlink()
        (tmp_path / "outside" / "new").mkdir()
        with socket.create_connection(("127.0.0.1", watched.outside.port)):
            pass
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
            caller.sendto(b"hello", ("127.0.0.1", watched.outside.port))
        while len(watched.knocks) < 2:
            pass
    harm = watched.harm()
    assert {"secret: changed", "doomed/kept: deleted", "new: made", "a connection", "a datagram: b'hello'"} <= set(harm)


def test_every_artifact_has_a_name_and_a_code() -> None:
    """More than fifty artifacts, no two of one name, each with the exit codes that may come of it."""
    assert len(CASES) >= 50
    assert len({case.name for case in CASES}) == len(CASES)
    assert all(case.codes <= {0, 40, 42, 47} and case.codes for case in CASES)
