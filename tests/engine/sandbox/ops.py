"""What ops of TensorFlow do to their host, executed: stages for a forkserver that has TensorFlow."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import tensorflow as tf


class Stage(NamedTuple):
    """As in `job.engine.stages`."""

    request: type[Any]
    run: Callable[[Any], Any]


@dataclass(frozen=True, kw_only=True)
class Call:
    """An op, and whom it is aimed at: a directory that is not the worker's, and a port where somebody listens."""

    op: str
    outside: str = ""
    port: int = 0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the op gave, or the first line of the error that it met."""

    given: str = ""
    error: str = ""


def _read(path: str) -> str:
    return str(tf.raw_ops.ReadFile(filename=path).numpy()[:20])


def _save(prefix: str) -> None:
    tf.raw_ops.SaveV2(prefix=prefix, tensor_names=["x"], shape_and_slices=[""], tensors=[tf.constant(1.0)])


def _merge(outside: str) -> None:
    """Merge a checkpoint into another, and have the directory of the first deleted."""
    tf.raw_ops.MergeV2Checkpoints(
        checkpoint_prefixes=[f"{outside}/old/part"], destination_prefix=f"{outside}/merged", delete_old_dirs=True
    )


def _database(outside: str) -> None:
    dataset = tf.data.experimental.SqlDataset("sqlite", f"{outside}/made.db", "select 1", (tf.int32,))
    list(dataset)


def _debug(port: int) -> None:
    tf.raw_ops.DebugIdentityV3(
        input=tf.constant(1.0),
        tensor_name="x:0",
        debug_urls=[f"grpc://127.0.0.1:{port}"],
        device_name="",
        io_of_node="",
    )


def _data_service(port: int) -> None:
    service = tf.data.experimental.service.distribute("parallel_epochs", f"grpc://127.0.0.1:{port}")
    list(tf.data.Dataset.range(1).apply(service))


CALLS: Final[dict[str, Callable[[Call], object]]] = {
    "ReadFile": lambda call: _read(f"{call.outside}/victim"),
    "ReadFile of the environment": lambda _: _read("/proc/self/environ"),
    "ReadFile of the users": lambda _: _read("/etc/passwd"),
    "MatchingFiles": lambda call: tf.raw_ops.MatchingFiles(pattern=f"{call.outside}/*").numpy(),
    "TextLineDataset": lambda call: list(tf.data.TextLineDataset(f"{call.outside}/victim")),
    "WriteFile": lambda call: tf.raw_ops.WriteFile(filename=f"{call.outside}/made", contents="x"),
    "SaveV2": lambda call: _save(f"{call.outside}/made"),
    "MergeV2Checkpoints": lambda call: _merge(call.outside),
    "PrintV2": lambda call: tf.print("x", output_stream=f"file://{call.outside}/made"),
    "SqlDataset": lambda call: _database(call.outside),
    "DebugIdentityV3": lambda call: _debug(call.port),
    "DataServiceDataset": lambda call: _data_service(call.port),
}


def call(request: Call) -> Outcome:
    """Run an op as a graph of a stranger's would, where no policy has looked at it."""
    try:
        return Outcome(given=str(CALLS[request.op](request)))
    except Exception as error:  # noqa: BLE001 - TensorFlow's, Python's, or gRPC's
        return Outcome(error=str(error).splitlines()[0][:300])


def make_old(request: Call) -> Outcome:
    """Write the checkpoint that will be merged."""
    Path(request.outside, "old").mkdir()
    _save(f"{request.outside}/old/part")
    return Outcome()


STAGES: Final = {"call": Stage(Call, call), "make_old": Stage(Call, make_old)}
