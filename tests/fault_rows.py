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
    _row(7, "token expires during the run", "refreshed, else 77", "storage/test_s3_client.py::test_expired_credentials_are_found_anew_once", "storage/test_s3_client.py::test_credentials_that_stay_expired_end_with_their_own_code"),
    _row(8, "clocks differ", "74, says by how much", "storage/test_s3_client.py::test_a_clock_that_stays_wrong_is_told_in_seconds"),
    _row(9, "DNS or TLS fails", "74", "storage/test_s3_errors.py::test_an_unknown_host_is_named", "storage/test_s3_errors.py::test_tls_that_fails_is_an_unreachable_endpoint"),
    _row(10, "object changes while it is read", "read again, then 40", "storage/test_s3.py::test_download_starts_again_on_a_changed_object", "storage/test_s3.py::test_download_of_an_object_that_never_rests_is_bad_input", "storage/test_bodies.py::test_three_changes_are_borne_and_the_fourth_names_both_etags"),
    _row(11, "object deleted after it was listed", "40 of its artifact", "storage/test_base.py::test_a_missing_object_is_bad_input", "storage/test_s3_errors.py::test_what_one_object_answers_is_that_artifacts_error"),
    _row(12, "connection reset within a body", "resumed", "storage/test_s3.py::test_download_resumes_where_the_connection_broke", "chaos/test_bad_networks.py::test_body_that_breaks_off_is_read_on_where_it_did", "storage/test_bodies.py::test_a_line_that_breaks_all_the_time_and_moves_on_is_no_failure"),
    _row(13, "short body", "resumed, then 74", "storage/test_s3.py::test_download_gives_up_on_a_connection_that_always_breaks", "chaos/test_bad_networks.py::test_body_that_always_breaks_off_costs_its_artifact", "storage/test_s3.py::test_a_body_that_stays_short_is_the_stores_failure"),
    _row(14, "flipped bit, digest known", "read again; 40 where it stays the same, 74 where the line is at fault", "storage/test_s3.py::test_a_flip_on_the_way_is_mended", "storage/test_s3.py::test_a_flip_at_rest_is_bad_input"),
    _row(15, "flipped bit, no digest known", "published as unverified", "test_integrity.py::test_what_came_over_a_network_unverified_is_a_warning"),
    _row(16, "truncated GraphDef", "40", "test_faults.py::test_each_artifact_ends_as_it_should_and_none_stops_another"),
    _row(17, "empty GraphDef", "40", "engine/scanning/test_graphs.py::test_hostile_graph_never_reaches_tensorflow"),
    _row(18, "web page under a model's name", "40, says what it is", "test_faults.py::test_message_names_what_is_wrong_and_what_to_do"),
    _row(19, "wrong extension", "converted, or 40 with its real format", "test_discovery.py::test_graph_defs_are_told_by_content", "test_content.py::test_every_kind_has_a_meaning_and_a_remedy"),
    _row(20, "GraphDef as text", "converted", "engine/formats/test_formats.py::test_format_is_read_as_binary_and_as_text"),
    _row(21, "GraphDef over 2 GiB", "40, says why", "engine/formats/test_formats.py::test_file_over_two_gigabytes_is_bad_input"),
    _row(22, "checkpoint of 10 GB and more", "streamed", "storage/test_bodies.py::test_an_object_passes_through_in_pieces", reason="no test converts 10 GB: the transfer alone is shown to need no memory for it"),
    _row(23, "shard, index or graph missing", "40, names them", "test_checkpoints.py::test_missing_files_are_named"),
    _row(24, "shard count differs from the names", "40", "test_checkpoints.py::test_missing_files_are_named", "test_content.py::test_index_says_how_many_data_files_it_needs"),
    _row(25, "index and data differ, wrong checksum", "40, names the tensor", "engine/state/test_checkpoint.py::test_damage_is_bad_input"),
    _row(26, "index with impossible dimensions or types", "40", "engine/scanning/test_checkpoints.py::test_hostile_checkpoint_is_never_opened"),
    _row(27, "tensor that claims more than is stored", "42", "storage/test_holes.py::test_file_of_holes_is_refused_before_it_is_copied", "engine/scanning/test_fills.py::test_tensor_that_takes_all_memory_is_refused"),
    _row(28, "checkpoint of TensorFlow's first format", "converted, or 40", "engine/scanning/test_checkpoints.py::test_first_format_passes_whole_and_no_other_way"),
    _row(29, "several checkpoints; `checkpoint` points elsewhere", "the newest; never an absolute path", "test_discovery.py::test_newest_step_is_taken", "test_hostile_run.py::test_hostile_artifacts_cost_the_good_ones_nothing"),
    _row(30, "NaN or infinite weights", "42, unless allowed", "engine/health/test_weights.py::test_frozen_weights_that_are_nan_are_refused"),
    _row(31, "op that nobody registered", "40, names op and node", "test_faults.py::test_message_names_what_is_wrong_and_what_to_do"),
    _row(32, "shared library beside the model", "40, as its op is unknown; never loaded", "engine/ops/test_op_library.py::test_op_without_its_library_says_what_would_help"),
    _row(33, "host-touching op on the path", "42, names op, node, path", "engine/ops/test_policy.py::test_host_op_on_the_way_is_refused", "test_allow_op.py::test_denied_op_on_the_way_is_refused_with_its_way", "engine/sandbox/test_ops.py::test_op_cannot_touch_its_host"),
    _row(34, "the same in the training part", "pruned, with a line", "engine/ops/test_policy.py::test_host_op_elsewhere_is_no_matter", "test_allow_op.py::test_denied_op_elsewhere_is_left_out_and_told", "engine/ops/test_published.py::test_what_no_output_needs_is_not_written"),
    _row(35, "`Abort`, exit 0 without a result", "42; missed: 47", "test_faults.py::test_each_artifact_ends_as_it_should_and_none_stops_another", "test_workers.py::test_what_befalls_a_worker_is_an_error_of_its_kind_and_the_next_one_works"),
    _row(36, "`PyFunc`", "42", "engine/ops/test_policy.py::test_python_body_is_refused_where_it_is_needed"),
    _row(37, "GraphDef within a constant", "42", "engine/ops/test_policy.py::test_graph_in_a_constant_is_not_run"),
    _row(38, "asset outside the bundle", "42", "engine/formats/test_formats.py::test_asset_outside_the_model_is_not_read", "sandbox/test_attacks.py::test_attack_is_denied"),
    _row(39, "Keras Lambda, external link, shape bomb", "42", "engine/keras/test_hostile.py::test_code_is_refused_wherever_it_hides", "engine/keras/test_hdf5.py::test_file_that_leads_out_or_swells_is_refused"),
    _row(40, "archive with traversal, links or a bomb", "42", "test_unpacking.py::test_name_that_reaches_out_is_refused", "test_unpacking.py::test_link_that_leads_out_is_refused", "test_unpacking.py::test_bomb_is_refused_before_it_fills_the_disk"),
    _row(41, "cyclic graph", "40, names nodes", "engine/scanning/test_graphs.py::test_hostile_graph_never_reaches_tensorflow"),
    _row(42, "recursive function", "40; missed: 47", "engine/scanning/test_graphs.py::test_functions_that_call_themselves_are_named_in_order"),
    _row(43, "no signature, only training outputs", "40, names candidates", "engine/interface/test_guessing.py::test_graph_without_results_is_bad_input"),
    _row(44, "several MetaGraphs", "40, lists tags", "engine/formats/test_formats.py::test_ambiguous_tags_are_the_users_choice"),
    _row(45, "uninitialised variable", "40, names it", "engine/state/test_checkpoint.py::test_graph_without_checkpoint_names_its_variables"),
    _row(46, "string or resource input", "converted; parity `not_run` without samples", "engine/proof/test_verifying.py::test_nothing_is_passed_that_was_not_run"),
    _row(47, "unknown rank, empty dimensions", "parity on chosen shapes, listed", "engine/interface/test_signatures.py::test_inputs_of_no_rank_and_of_rank_zero", "engine/samples/test_making.py::test_batches_differ_and_repeat_by_seed"),
    _row(48, "random ops", "compared by distribution, labelled", "engine/proof/test_verifying.py::test_random_graph_is_compared_by_its_draws"),
    _row(49, "parity fails", "41, report only", "test_running.py::test_one_artifact_never_stops_another", "test_pipeline.py::test_what_fails_leaves_its_report_and_no_model"),
    _row(50, "endless loop", "47", "test_faults.py::test_each_artifact_ends_as_it_should_and_none_stops_another", "test_workers.py::test_worker_that_overstays_is_stopped"),
    _row(51, "graph that Grappler chokes on", "again without Grappler", "test_pipeline.py::test_graph_that_grappler_does_not_end_is_published_with_a_note"),
    _row(52, "memory bomb", "47, peak and limit", "test_workers.py::test_worker_that_takes_too_much_memory_is_ended"),
    _row(53, "GPU memory ends at a batch size", "recorded; goes on", "engine/test_benchmarking.py::test_batch_that_memory_does_not_hold_is_halved"),
    _row(54, "GPU memory ends at batch 1", "47", "engine/test_run_errors.py::test_gpu_too_small_for_a_sample_is_the_artifacts_poison"),
    _row(55, "no GPU where one is required", "73", "test_faults.py::test_required_gpu_that_is_not_there_ends_with_73"),
    _row(56, "no GPU, none required", "0, says cpu", "engine/test_runtime.py::test_auto_takes_the_cpu_where_there_is_no_gpu"),
    _row(57, "Xid, ECC error, lost context", "again once, then 73", "test_stage_runs.py::test_what_may_be_the_machines_is_tried_once_more", "test_workers.py::test_gpu_that_failed_is_the_machines_fault"),
    _row(58, "TensorFlow dies by a signal", "again once, then 47", "test_faults.py::test_worker_killed_twice_costs_its_artifact_alone", "test_pipeline.py::test_stage_whose_worker_crashed_is_run_once_more"),
    _row(59, "container out of memory", "137; the next attempt resumes", "chaos/test_rounds.py::test_container_that_is_killed_goes_on_where_it_was", "test_workers.py::test_kernel_that_is_out_of_memory_takes_the_worker_first"),
    _row(60, "disk full", "71", "test_faults.py::test_full_file_system_is_71_of_the_artifact_that_does_not_fit", "test_pulling.py::test_artifact_that_scratch_cannot_hold_is_not_begun"),
    _row(61, "read-only file system, bad scratch", "71", "test_running.py::test_scratch_that_cannot_be_used_is_told", "test_pulling.py::test_scratch_that_fails_is_a_local_error"),
    _row(62, "SIGTERM in any stage", "75 within the grace", "test_faults.py::test_sigterm_ends_with_75_and_a_second_run_completes", "chaos/test_interrupting.py::test_sigterm_in_each_phase_is_75_within_the_grace_and_the_next_run_completes", "test_interrupts.py::test_process_ends_within_the_grace_whatever_hangs", "test_signals.py::test_store_that_does_not_answer_cannot_hold_a_job_that_is_told_to_end"),
    _row(63, "SIGKILL anywhere", "137; a second run converges", "test_publishing.py::test_killed_at_any_step_a_reader_sees_all_or_nothing", "chaos/test_rounds.py::test_kill_leaves_whole_results_or_none_and_one_more_run_completes"),
    _row(64, "two workers at one artifact", "one commits, 0 for both", "test_publishing.py::test_of_many_attempts_one_stands", "chaos/test_bad_networks.py::test_of_two_jobs_one_commits_and_the_other_takes_its_attempt_back"),
    _row(65, "503 SlowDown without end", "74, says how often", "storage/test_s3_errors.py::test_a_store_that_is_always_busy_fails", "chaos/test_bad_networks.py::test_storm_of_503_is_74_and_what_is_done_stays", "storage/test_s3_client.py::test_a_storm_ends_with_counts_and_soon"),
    _row(66, "response to the commit lost", "recognised as our own", "test_publishing.py::test_a_lost_response_is_recognised", "chaos/test_bad_networks.py::test_commit_whose_answer_is_lost_is_known_as_ones_own", "test_publishing.py::test_every_answer_may_be_lost"),
    _row(67, "409 on the commit", "tried again, then 74", "storage/test_s3.py::test_a_conflict_is_tried_again", "chaos/test_bad_networks.py::test_endless_conflicts_at_the_commit_are_74", "test_publishing.py::test_conflicts_on_the_commit_are_tried_again"),
    _row(68, "orphaned multipart uploads", "aborted; `gc` finds the rest", "storage/test_s3.py::test_a_failed_upload_leaves_no_parts", "test_collecting.py::test_an_object_store_is_cleaned_alike", "storage/test_s3.py::test_parts_are_given_up_at_the_store"),
    _row(69, "another plan at the destination", "stands beside it", "test_publishing.py::test_another_plan_stands_beside_it"),
    _row(70, "damaged commit", "45; `--repair`", "test_publishing.py::test_a_damaged_commit_is_a_conflict", "test_publishing_runs.py::test_a_damaged_commit_is_repaired_if_asked_for", "test_publishing.py::test_of_two_repairs_one_stands"),
    _row(71, "store without conditional writes", "said, or 45", "test_running.py::test_weak_destination_is_told", "test_publishing_runs.py::test_a_weak_destination_is_refused_before_any_work_if_asked_for", "test_publishing_runs.py::test_a_weak_destination_is_told_in_log_and_report"),
    _row(72, "odd keys", "handled, or 40 of the artifact", "test_discovery.py::test_unsafe_keys_get_safe_names", "test_keys_run.py::test_artifacts_are_published_whatever_their_keys_are"),
    _row(73, "names that collide", "kept apart", "test_publishing_runs.py::test_names_that_differ_in_case_or_begin_alike_have_plans_of_their_own", "test_latest.py::test_a_store_that_folds_case_keeps_the_first_pointer", "test_keys_run.py::test_artifacts_are_published_whatever_their_keys_are"),
    _row(74, "100,000 objects", "paged", "test_discovery.py::test_100_000_objects_are_discovered_in_seconds", "test_scale.py::test_a_hundred_thousand_objects", "storage/test_s3.py::test_listing_is_paged"),
    _row(75, "report or log cannot be uploaded", "0 and a warning", "test_running.py::test_summary_that_cannot_be_stored_changes_nothing", "test_latest.py::test_a_pointer_that_cannot_be_moved_costs_a_warning"),
    _row(76, "standard output closed or full", "goes on", "test_logs.py::test_a_full_pipe_does_not_stop_the_job", "test_logs.py::test_a_closed_stream_is_no_error", "console/test_printing.py::test_printing_to_a_closed_stdout_is_no_error"),
    _row(77, "surrogates in an error's text", "escaped", "test_logs.py::test_text_that_a_stream_cannot_encode_is_escaped"),
    _row(78, "index variables that disagree", "2, both values", "test_settings.py::test_contradictions_are_told_with_their_variables"),
    _row(79, "one source listed twice", "one commit", "test_publishing_runs.py::test_one_source_taken_twice_is_one_commit"),
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
