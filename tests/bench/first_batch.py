"""What the batch size that comes first does to all that come after it, where TensorFlow computes on a CPU."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from job.machine import cores_here
from tests.bench.contest import WINDOW_S, Entry, Unable, entry, started
from tests.bench.models import BASELINE, BATCHES, FAITHFUL, MEASURED, ROUNDS, not_run, options_of, rows_of, sweep
from tests.bench.preparing import Model, convert, make, versions_of
from tests.bench.table import Table, this_machine

NAME: Final = "first_batch"
TITLE: Final = "Two LSTMs, by the batch size that came first"


def tables(*, quick: bool, scratch: Path) -> Iterator[Table]:
    """Yield one table, of a model whose dense layers have one row for each example."""
    model = make("lstm", scratch / "lstm")
    try:
        entries = list(_entries(model, convert(model, "--device", "cpu")))
        with started(entries, model.directory) as processes:
            swept = sweep(processes, model.inputs, BATCHES, ROUNDS[quick], ())
    except Unable as error:
        yield not_run(NAME, TITLE, str(error))
        return
    yield Table(
        name=NAME,
        title=TITLE,
        measured=MEASURED.format(
            rounds=ROUNDS[quick],
            window_s=WINDOW_S,
            threads=cores_here(),
            saturation="After batch N: one batch of that size was run before those that are measured.",
            versions=versions_of(),
        ),
        machine=this_machine(),
        columns=("", "far", *(f"batch {batch}" for batch in swept)),
        rows=tuple(rows_of([one.name for one in entries], swept)),
    )


def _entries(model: Model, saved_model: Path) -> Iterator[Entry]:
    """Yield both forms of the model, each size on its own and after another one."""
    for name, kind, path in ((BASELINE, "session", model.frozen), (FAITHFUL, "saved_model", saved_model)):
        for first in (0, *BATCHES):
            told = f"{name}, after batch {first}" if first else name
            yield entry(told, kind, path, *options_of(model), "--first", str(first))
