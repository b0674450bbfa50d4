from dataclasses import replace

from job.report.curves import KINDS
from job.report.figures import plots_of
from job.report.panel import Plot
from tests import samples

DEVICE = replace(
    samples.BENCHMARK,
    measurements=tuple(
        replace(
            one, feeding="device", contenders=tuple(replace(contender, latency=None) for contender in one.contenders)
        )
        for one in samples.BENCHMARK.measurements
    ),
)


def curves(benchmark: object = samples.BENCHMARK) -> list[Plot]:
    return plots_of(replace(samples.PUBLISHED, benchmark=benchmark, tuning=None))["speed"]  # type: ignore[arg-type]


def test_each_kind_of_figure_has_its_plot() -> None:
    """Throughput, its ratio and latency, each with what it is measured in."""
    plots = curves()
    assert [plot.title for plot in plots] == [kind.title for kind in KINDS]
    for plot, kind in zip(plots, KINDS, strict=True):
        assert f">{kind.unit}<" in plot.svg


def test_the_baseline_has_no_ratio_to_itself() -> None:
    """The second plot holds what is published; in the others the TF1 graph is as well."""
    assert [list(plot.series.values()) for plot in curves()] == [
        ["TF1 graph", "saved_model"],
        ["saved_model"],
        ["TF1 graph", "saved_model"],
    ]


def test_what_is_not_stable_is_hollow_and_has_no_ratio() -> None:
    """Batch 16 did not settle: its throughput is drawn as unsure, and a ratio is told nowhere."""
    throughput, ratio, _ = curves()
    assert "fill: var(--ground); stroke: var(--candidate)" in throughput.svg
    assert "35.2 at batch 16" in throughput.svg
    assert "batch 16" not in ratio.svg


def test_what_stays_on_a_gpu_has_plots_of_its_own() -> None:
    """They have other numbers, and calls that do not wait have no latency."""
    both = replace(samples.BENCHMARK, measurements=(*samples.BENCHMARK.measurements, *DEVICE.measurements))
    titles = [plot.title for plot in curves(both)]
    assert titles[3:] == ["Throughput, fed on the GPU", "Throughput over TF1's, fed on the GPU"]


def test_older_measurements_have_no_interval() -> None:
    """Where none is known the point stands without one."""
    measurements = tuple(
        replace(one, contenders=tuple(replace(each, low_per_s=None, high_per_s=None) for each in one.contenders))
        for one in samples.BENCHMARK.measurements
    )
    assert len(curves(replace(samples.BENCHMARK, measurements=measurements))) == 3


def test_wrong_answers_have_no_curves() -> None:
    """How fast they come is of no use."""
    assert "speed" not in plots_of(samples.PARITY_FAILED)
