# ruff: noqa: E501 - a row is a line, as in the table that it makes
"""Every fault that the job was built against, what it does about it, and the tests that inject it.

``python -m tests.fault_rows`` prints the table of docs/reliability.md.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Row:
    """One fault: what happens, how its artifact or the run ends, and what shows it.

    `tests` are ``path::function`` below ``tests/``; `reason` says why there is none that injects all of it.
    """

    number: int
    fault: str
    end: str
    tests: tuple[str, ...] = ()
    reason: str = ""


def _row(number: int, fault: str, end: str, *tests: str, reason: str = "") -> Row:
    return Row(number=number, fault=fault, end=end, tests=tests, reason=reason)


ROWS: Final = (
    _row(1, "nothing under the prefix", "43", "storage/test_init.py::test_a_missing_source_is_no_input", "test_discovery.py::test_nothing_to_do_is_told"),
    _row(2, "shard index behind the last artifact", "0", "test_running.py::test_shard_without_work_ends_well_and_says_so"),
    _row(3, "bucket missing", "44", "storage/test_s3_errors.py::test_a_missing_bucket_is_denied"),
    _row(4, "403 at the start", "44", "test_faults.py::test_store_that_refuses_is_44"),
    _row(5, "403 on one object", "40 of its artifact", "storage/test_s3_errors.py::test_one_forbidden_object_is_that_artifacts_error"),
    _row(6, "bucket in another region", "44, names the region", "storage/test_s3_errors.py::test_answers_become_errors"),
    _row(7, "token expires during the run", "refreshed, else 77"),
    _row(8, "clocks differ", "74, says by how much"),
    _row(9, "DNS or TLS fails", "74", "storage/test_s3_errors.py::test_an_unknown_host_is_named", "storage/test_s3_errors.py::test_tls_that_fails_is_an_unreachable_endpoint"),
    _row(10, "object changes while it is read", "read again, then 40", "storage/test_s3.py::test_download_starts_again_on_a_changed_object", "storage/test_s3.py::test_download_of_an_object_that_never_rests_is_bad_input"),
    _row(11, "object deleted after it was listed", "40 of its artifact", "storage/test_base.py::test_a_missing_object_is_bad_input"),
    _row(12, "connection reset within a body", "resumed", "storage/test_s3.py::test_download_resumes_where_the_connection_broke"),
    _row(13, "short body", "resumed, then 74", "storage/test_s3.py::test_download_gives_up_on_a_connection_that_always_breaks"),
    _row(14, "flipped bit, digest known", "read again, then 40"),
    _row(15, "flipped bit, no digest known", "published as unverified"),
    _row(16, "truncated GraphDef", "40", "test_faults.py::test_each_artifact_ends_as_it_should_and_none_stops_another"),
    _row(17, "empty GraphDef", "40"),
    _row(18, "web page under a model's name", "40, says what it is", "test_faults.py::test_message_names_what_is_wrong_and_what_to_do"),
    _row(19, "wrong extension", "converted, or 40 with its real format"),
    _row(20, "GraphDef as text", "converted"),
    _row(21, "GraphDef over 2 GiB", "40, says why"),
    _row(22, "checkpoint of 10 GB and more", "streamed"),
    _row(23, "shard, index or graph missing", "40, names them", "test_checkpoints.py::test_missing_files_are_named"),
    _row(24, "shard count differs from the names", "40"),
    _row(25, "index and data differ, wrong checksum", "40, names the tensor"),
    _row(26, "index with impossible dimensions or types", "40"),
    _row(27, "tensor that claims more than is stored", "42"),
    _row(28, "checkpoint of TensorFlow's first format", "converted, or 40"),
    _row(29, "several checkpoints; `checkpoint` points elsewhere", "the newest; never an absolute path"),
    _row(30, "NaN or infinite weights", "42, unless allowed", "engine/health/test_weights.py::test_frozen_weights_that_are_nan_are_refused"),
    _row(31, "op that nobody registered", "40, names op and node"),
    _row(32, "shared library beside the model", "42, never loaded"),
    _row(33, "host-touching op on the path", "42, names op, node, path", "engine/ops/test_policy.py::test_host_op_on_the_way_is_refused"),
    _row(34, "the same in the training part", "pruned, with a line", "engine/ops/test_policy.py::test_host_op_elsewhere_is_no_matter"),
    _row(35, "`Abort`, exit 0 without a result", "42; missed: 47"),
    _row(36, "`PyFunc`", "42"),
    _row(37, "GraphDef within a constant", "42"),
    _row(38, "asset outside the bundle", "42", "engine/formats/test_formats.py::test_asset_outside_the_model_is_not_read"),
    _row(39, "Keras Lambda, external link, shape bomb", "42"),
    _row(40, "archive with traversal, links or a bomb", "42", "test_unpacking.py::test_name_that_reaches_out_is_refused", "test_unpacking.py::test_link_that_leads_out_is_refused", "test_unpacking.py::test_bomb_is_refused_before_it_fills_the_disk"),
    _row(41, "cyclic graph", "40, names nodes"),
    _row(42, "recursive function", "40; missed: 47"),
    _row(43, "no signature, only training outputs", "40, names candidates"),
    _row(44, "several MetaGraphs", "40, lists tags", "engine/formats/test_formats.py::test_ambiguous_tags_are_the_users_choice"),
    _row(45, "uninitialised variable", "40, names it"),
    _row(46, "string or resource input", "converted; parity `not_run` without samples"),
    _row(47, "unknown rank, empty dimensions", "parity on chosen shapes, listed"),
    _row(48, "random ops", "compared by distribution, labelled", "engine/proof/test_verifying.py::test_random_graph_is_compared_by_its_draws"),
    _row(49, "parity fails", "41, report only"),
    _row(50, "endless loop", "47", "test_faults.py::test_each_artifact_ends_as_it_should_and_none_stops_another"),
    _row(51, "graph that Grappler chokes on", "again without Grappler"),
    _row(52, "memory bomb", "47, peak and limit"),
    _row(53, "GPU memory ends at a batch size", "recorded; goes on"),
    _row(54, "GPU memory ends at batch 1", "47"),
    _row(55, "no GPU where one is required", "73", "test_faults.py::test_required_gpu_that_is_not_there_ends_with_73"),
    _row(56, "no GPU, none required", "0, says cpu", "engine/test_runtime.py::test_auto_takes_the_cpu_where_there_is_no_gpu"),
    _row(57, "Xid, ECC error, lost context", "again once, then 73"),
    _row(58, "TensorFlow dies by a signal", "again once, then 47", "test_faults.py::test_worker_killed_twice_costs_its_artifact_alone"),
    _row(59, "container out of memory", "137; the next attempt resumes"),
    _row(60, "disk full", "71", "test_faults.py::test_full_file_system_is_71_of_the_artifact_that_does_not_fit"),
    _row(61, "read-only file system, bad scratch", "71", "test_running.py::test_scratch_that_cannot_be_used_is_told"),
    _row(62, "SIGTERM in any stage", "75 within the grace", "test_faults.py::test_sigterm_ends_with_75_and_a_second_run_completes"),
    _row(63, "SIGKILL anywhere", "137; a second run converges", "test_publishing.py::test_killed_at_any_step_a_reader_sees_all_or_nothing"),
    _row(64, "two workers at one artifact", "one commits, 0 for both", "test_publishing.py::test_of_many_attempts_one_stands"),
    _row(65, "503 SlowDown without end", "74, says how often", "storage/test_s3_errors.py::test_a_store_that_is_always_busy_fails"),
    _row(66, "response to the commit lost", "recognised as our own", "test_publishing.py::test_a_lost_response_is_recognised"),
    _row(67, "409 on the commit", "tried again, then 74", "storage/test_s3.py::test_a_conflict_is_tried_again"),
    _row(68, "orphaned multipart uploads", "aborted; `gc` finds the rest", "storage/test_s3.py::test_a_failed_upload_leaves_no_parts"),
    _row(69, "another plan at the destination", "stands beside it", "test_publishing.py::test_another_plan_stands_beside_it"),
    _row(70, "damaged commit", "45; `--repair`", "test_publishing.py::test_a_damaged_commit_is_a_conflict"),
    _row(71, "store without conditional writes", "said, or 45", "test_running.py::test_weak_destination_is_told"),
    _row(72, "odd keys", "handled, or 40 of the artifact", "test_discovery.py::test_unsafe_keys_get_safe_names"),
    _row(73, "names that collide", "kept apart"),
    _row(74, "100,000 objects", "paged", "test_discovery.py::test_100_000_objects_are_discovered_in_seconds"),
    _row(75, "report or log cannot be uploaded", "0 and a warning", "test_running.py::test_summary_that_cannot_be_stored_changes_nothing"),
    _row(76, "standard output closed or full", "goes on", "test_logs.py::test_a_full_pipe_does_not_stop_the_job", "test_logs.py::test_a_closed_stream_is_no_error"),
    _row(77, "surrogates in an error's text", "escaped", "test_logs.py::test_text_that_a_stream_cannot_encode_is_escaped"),
    _row(78, "index variables that disagree", "2, both values", "test_settings.py::test_contradictions_are_told_with_their_variables"),
    _row(79, "one source listed twice", "one commit"),
)  # fmt: skip


def table() -> str:
    """Return the rows as a table in Markdown."""
    lines = ["| # | Fault | How it ends | Shown by |", "|---|---|---|---|"]
    return "\n".join([*lines, *map(_line, ROWS)])


def _line(row: Row) -> str:
    shown = [f"`{test.rpartition('::')[2]}`" for test in row.tests]
    return f"| {row.number} | {row.fault} | {row.end} | {'<br>'.join([*shown, *filter(None, [row.reason])])} |"


if __name__ == "__main__":
    print(table())  # noqa: T201 - it prints
