"""Every event of the log: its name, which stays what it is, what it means, and the fields that it may carry.

What is not listed here does not get into a log: a field that somebody adds in passing, with whatever is in it, is
left out until it is written down. ``python -m job.events`` prints the table of docs/events.md.
"""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

ALWAYS: Final = ("timestamp", "level", "event", "artifact", "stage", "exception")
"""What any event may carry: `artifact` and `stage` where one is at work, `exception` where a bug of ours is told."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """What an event means, and which fields it has beside those of `ALWAYS`."""

    says: str
    fields: tuple[str, ...] = ()


def _event(says: str, *fields: str) -> Event:
    return Event(says=says, fields=fields)


EVENTS: Final[Mapping[str, Event]] = {
    "run_started": _event(
        "the source is listed and this shard's share is known", "artifacts", "mine", "left_alone", "shard", "shards"
    ),
    "variable_ignored": _event("a `JOB_` variable sets nothing and looks misspelt", "variable", "remedy"),
    "manifest_entry_unused": _event("an entry of the manifest fits no artifact", "match", "remedy"),
    "shard_empty": _event("no artifact is this shard's", "cause"),
    "destination_is_weak": _event("the store cannot create without overwriting", "destination", "cause", "remedy"),
    "device_chosen": _event("where models run", "device", "name", "asked"),
    "lanes_opened": _event("how many stages compute at once, on how many devices", "lanes", "devices"),
    "latest_missing": _event("`verify` met commits of an artifact that no pointer leads to", "remedy"),
    "no_gpu": _event("models run on the CPU, as TensorFlow sees no GPU", "cause", "remedy"),
    "sandbox_incomplete": _event("workers are confined by less than all there is", "held", "missing", "remedy"),
    "connection_renewed": _event("credentials or clock were found anew after the store refused", "store", "reason"),
    "connection_unsteady": _event(
        "a download goes on after another break of its connection", "breaks", "position", "reason"
    ),
    "archive_opened": _event("an archive's artifacts are known", "archive", "artifacts", "left_alone"),
    "artifact_started": _event("work on an artifact begins", "format", "size_bytes"),
    "given_graph_not_used": _event("`--graph` was not needed", "cause"),
    "rules_not_used": _event("`--rules` were not needed", "cause"),
    "stage_ended": _event("a stage of an artifact is done", "wall_s", "peak_memory_bytes"),
    "stage_retried": _event(
        "a worker ended without a result, or lacked memory beside others: the stage runs once more, with all lanes, "
        "perhaps without an optimizer",
        *("reason", "without"),
    ),
    "made_again": _event("what the job had added and could not prove is left out", "without"),
    "worker_died": _event("how a worker ended, and what it said last", "ended", "output"),
    "worker_failed": _event("what a worker said before a bug or a lack of memory", "output"),
    "worker_stopped": _event("a worker passed a limit, and what it said last", "reason", "output"),
    "forkserver_lost": _event("the process that holds TensorFlow ended or said nothing", "mode", "cause"),
    "forkserver_restarted": _event("it was started again", "mode", "cause"),
    "variant_dropped": _event("a faster variant does not hold its class and is not published", "variant", "reason"),
    "tuning_failed": _event("no faster variant was found, for a failure", "reason"),
    "fast_model_withdrawn": _event("the benchmark found the fast model slower than the faithful one", "reason"),
    "tuned": _event("the search for a faster variant has ended", "verdict", "published", "reason"),
    "benchmark_failed": _event("there are no figures; the model is published all the same", "reason"),
    "artifact_published": _event(
        "a model is committed: by us, or by another who came first; its `parity` is `passed` or `not_run`",
        *("outcome", "place", "parity"),
    ),
    "artifact_already_published": _event("an equal plan was committed before", "plan", "parity"),
    "artifact_failed": _event("an artifact ended with an error", "code", "name", "reason"),
    "commit_damaged": _event(
        "what is published is not as its commit says: `verify` tells, `--repair` publishes it anew",
        *("cause", "commit", "remedy", "place", "problems"),
    ),
    "latest_not_pointed": _event("a model is committed, and `latest.json` is as it was", "reason", "consequence"),
    "report_published": _event("where the report of a failure lies", "place"),
    "report_upload_failed": _event("the report of a failure could not be stored", "reason"),
    "summary_upload_failed": _event("the run's summary could not be stored; nothing published depends on it", "reason"),
    "metrics_failed": _event("the file of `--metrics` could not be written", "reason"),
    "run_stopped": _event("no other artifact would fare better", "code", "left", "next"),
    "run_interrupted": _event("a signal or the deadline came", "cause", "done", "left", "next"),
    "run_ended": _event(
        "the last event of a run",
        *("exit_code", "wall_s", "published", "already_published", "not_published", "unproven", "pulled_bytes"),
    ),
    "commit_verified": _event("every byte that a commit lists is as it was published", "place", "files", "size_bytes"),
    "verify_ended": _event(
        "the last event of `verify`",
        *("commits", "files", "damaged", "uncommitted_attempts", "size_bytes", "wall_s"),
    ),
    "garbage_found": _event("what `gc --dry-run` would remove", "kind", "place", "files", "size_bytes", "age_days"),
    "garbage_removed": _event("what `gc` removed", "kind", "place", "files", "size_bytes", "age_days"),
    "unfinished_writes_unknown": _event("`gc` could not list uploads that never ended", "reason", "consequence"),
    "gc_ended": _event("the last event of `gc`", "commits", "attempt", "report", "write", "size_bytes", "dry_run"),
    "version_exported": _event(
        "`export` wrote a version for a server", "model", "version", "saved_model", "size_bytes"
    ),
    "version_there": _event(
        "`export` found the same bytes as a server's newest version", "model", "version", "saved_model", "size_bytes"
    ),
    "export_failed": _event("a model was not exported; the others are", "model", "code", "name", "reason"),
    "job_failed": _event("the job ended before or beside its artifacts", "code", "name", "reason"),
    "library_message": _event("a warning of a library that we use", "library", "message"),
    "bug": _event("a bug of ours; `exception` says where"),
}


def only_declared(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Leave out every field that `EVENTS` does not declare, and say which: a processor of structlog's."""
    declared = EVENTS.get(str(event.get("event")))
    allowed = {*ALWAYS, *(declared.fields if declared else ())}
    undeclared = sorted(event.keys() - allowed)
    kept = {name: value for name, value in event.items() if name in allowed}
    return kept | ({"undeclared_fields": undeclared} if undeclared else {})


def table() -> str:
    """Return the events as a table in Markdown."""
    lines = ["| event | means | fields |", "|---|---|---|"]
    rows = ((name, event.says, ", ".join(f"`{field}`" for field in event.fields)) for name, event in EVENTS.items())
    return "\n".join([*lines, *(f"| `{name}` | {says} | {fields} |" for name, says, fields in rows)])


if __name__ == "__main__":
    print(table())  # noqa: T201 - it prints
