"""Models as TF1 graphs, as the job's SavedModels, and in other runtimes, one table a model."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from job.latency import saturation
from job.machine import cores_here
from tests.bench.contest import WINDOW_S, Entry, Process, Result, Unable, compete, entry, started
from tests.bench.preparing import Model, convert, make, make_variants, peers_python, to_onnx, versions_of
from tests.bench.table import Table, ratio_cell, refused, this_machine

TITLES: Final = {
    "resnet50": "ResNet-50 (v1.5, 224 x 224)",
    "mobilenet_v2": "MobileNet v2 (224 x 224)",
    "bert": "An encoder as BERT-base (12 layers, 768 wide, sequences of 128)",
    "ssd": "SSD over MobileNet v2 (300 x 300, 20 classes, NMS)",
    "lstm": "Two LSTMs of 512 units over 64 steps",
}

BASELINE: Final = "TF1 graph in a Session"
FAITHFUL: Final = "faithful SavedModel"

BATCHES: Final = (1, 8, 32)
FURTHER: Final = (64, 128, 256)
"""Tried one after another while the TF1 graph gains 5 % each time."""

ROUNDS: Final = {True: 3, False: 10}
"""Measured rounds of windows, if quick and if not."""

MEASURED: Final = (
    "Examples a second, and the ratio to the TF1 graph's with its interval (bootstrap over rounds, 95 %): {rounds} "
    "rounds of windows in turn, of about {window_s} s, each contender in a process of its own with {threads} "
    "threads, fed from host memory. `far` is the largest difference of any output from the TF1 graph's, relative to "
    "that output's scale. `~`: windows of the contender differed by more than 10 %. {saturation} {versions}."
)

Sweep = Mapping[int, Mapping[str, Result | Unable]]
"""How all contenders fared, by batch size."""


@dataclass(kw_only=True)
class Field:
    """The contenders of a model; `unable` holds the reasons of those that could not be made."""

    entries: list[Entry] = field(default_factory=list)
    unable: dict[str, str] = field(default_factory=dict)

    def enter(self, name: str, make_entry: Callable[[], Entry]) -> None:
        """Add a contender, or note why there is none."""
        try:
            self.entries.append(make_entry())
        except Unable as error:
            self.unable[name] = str(error)


def tables(*, quick: bool, scratch: Path, only: Sequence[str] = ()) -> Iterator[Table]:
    """Yield a table for each model, as soon as it is there."""
    for name in only or TITLES:
        model = make(name, scratch / name)
        found = ours(model, "cpu")
        versions = add_peers(model, found)
        try:
            with started(found.entries, model.directory) as processes:
                swept = sweep(processes, model.inputs, BATCHES, ROUNDS[quick], () if quick else FURTHER)
            yield table(model, found, swept, rounds=ROUNDS[quick], versions=versions)
        except Unable as error:
            yield not_run(f"models-{model.name}", TITLES[model.name], str(error))
        shutil.rmtree(model.directory)


def ours(model: Model, device: Literal["cpu", "gpu"], *, resident: bool = False) -> Field:
    """Return the TF1 graph and all that the job makes of it, to be run by TensorFlow."""
    options = [*options_of(model), "--device", device, *(["--resident"] if resident else [])]
    found = Field(entries=[entry(BASELINE, "session", model.frozen, *options)])
    try:
        saved_model = convert(model, "--device", device)
        found.entries.append(entry(FAITHFUL, "saved_model", saved_model, *options))
        made, directory = make_variants(model, saved_model, device)
    except Unable as error:
        found.unable["variants" if len(found.entries) > 1 else FAITHFUL] = str(error)
        return found
    for one in made.variants:
        name = f"variant {one.name} ({one.precision})"
        if one.reason:
            found.unable[name] = one.reason
        else:
            found.entries.append(entry(name, "saved_model", directory / one.name, *options))
    return found


def add_peers(model: Model, found: Field) -> str:
    """Add the other runtimes, with as many threads, or the reasons why one is not there; return all versions."""
    try:
        python = peers_python()
    except Unable as error:
        found.unable["tf2onnx, ONNX Runtime and OpenVINO"] = str(error)
        return versions_of()
    options = options_of(model)

    def peer(name: str, kind: str, path: Callable[[], Path], *more: str) -> None:
        found.enter(name, lambda: entry(name, kind, path(), *options, *more, python=python))

    peer("tf2onnx and ONNX Runtime", "onnx", lambda: to_onnx(model, python))
    peer("OpenVINO, 32-bit", "openvino", lambda: model.frozen, "--precision", "f32")
    peer("OpenVINO, its default", "openvino", lambda: model.frozen)
    return versions_of(python)


def options_of(model: Model) -> list[str]:
    """Return what every contender is told: what to fetch, and by how many threads."""
    return ["--outputs", *model.outputs, "--threads", str(cores_here())]


def sweep(
    processes: Mapping[str, Process], inputs: Path, batches: Sequence[int], rounds: int, further: Sequence[int]
) -> Sweep:
    """Let all compete at these batch sizes, and at further ones while the TF1 graph gains 5 %."""
    swept, throughputs = dict[int, Mapping[str, Result | Unable]](), dict[int, float]()
    for batch in (*batches, *further):
        if batch not in batches and saturation(throughputs):
            break
        try:
            swept[batch] = compete(processes, inputs, batch, rounds=rounds)
        except Unable:
            if not swept:
                raise
            break  # the TF1 graph takes no larger batch: what was measured stands
        baseline = swept[batch][BASELINE]
        assert isinstance(baseline, Result)  # compete raises else
        throughputs[batch] = baseline.throughput_per_s
    return swept


def table(model: Model, found: Field, swept: Sweep, *, rounds: int, versions: str) -> Table:
    """Return the table of one model."""
    columns = ("", "far", *(f"batch {batch}" for batch in swept))
    ran = rows_of([one.name for one in found.entries], swept)
    absent = [(name, refused(reason), *[""] * len(swept)) for name, reason in found.unable.items()]
    measured = MEASURED.format(
        rounds=rounds, window_s=WINDOW_S, threads=cores_here(), saturation=_saturation(swept), versions=versions
    )
    return Table(
        name=f"models-{model.name}",
        title=TITLES[model.name],
        measured=measured,
        machine=this_machine(),
        columns=columns,
        rows=(*ran, *absent),
    )


def not_run(name: str, title: str, reason: str) -> Table:
    """Return what stands in place of a table where the TF1 graph, to which all is relative, did not run."""
    return Table(
        name=name,
        title=title,
        measured="",
        machine=this_machine(),
        columns=("", "every batch"),
        rows=((BASELINE, refused(reason)),),
    )


def rows_of(names: Sequence[str], swept: Sweep) -> list[tuple[str, ...]]:
    """Return a row for each contender: how far its answers are, and how fast it is at each batch size."""
    return [_row(name, swept) for name in names]


def _row(name: str, swept: Sweep) -> tuple[str, ...]:
    results = [each[name] for each in swept.values()]
    far = max((one.deviation for one in results if isinstance(one, Result)), default=None)
    told = "" if far is None or name == BASELINE else f"{far:.0e}"
    return (name, told, *(_cell(one, is_baseline=name == BASELINE) for one in results))


def _cell(result: Result | Unable, *, is_baseline: bool) -> str:
    if isinstance(result, Unable):
        return refused(str(result))
    ratio = "" if is_baseline else f", {ratio_cell(result.ratio)}"
    return f"{result.throughput_per_s:.3g}/s{ratio}{'' if result.steady else ' ~'}"


def _saturation(swept: Sweep) -> str:
    found = saturation({batch: each[BASELINE].throughput_per_s for batch, each in swept.items()})  # type: ignore[union-attr] # it ran
    return (
        f"The TF1 graph saturates at batch {found}: the next gains less than 5 %."
        if found
        else f"The TF1 graph does not saturate up to batch {max(swept)}."
    )
