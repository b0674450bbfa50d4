import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from job.records import ArtifactReport
from job.report.drawing import drawing, written
from job.report.figures import DRAWERS, plots_of
from job.report.panel import WIDTH, Panel, nice, short
from tests import samples
from tests.jobs import ROOT, environment

DRAW = """
import sys
from pathlib import Path
from tests import samples
from job.report import render_html
assert "matplotlib" not in sys.modules
html = render_html(samples.PUBLISHED, scratch=Path(sys.argv[1]))
assert html.count("<svg") == 5
from matplotlib import font_manager
assert {"DejaVu Sans"} <= {font.name for font in font_manager.fontManager.ttflist}
assert all("matplotlib" in font.fname for font in font_manager.fontManager.ttflist), "a system's fonts were looked for"
"""


def drawn(program: str, *arguments: str, extra: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-W", "error", "-c", program, *arguments]
    return subprocess.run(
        command, env=environment(extra), cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )


def test_a_machine_that_may_not_be_written_to_draws_in_silence(tmp_path: Path) -> None:
    """Neither home nor configuration is touched, no font is looked for, and nothing is left or said."""
    home, scratch = tmp_path / "home", tmp_path / "scratch"
    home.mkdir(mode=0o500)
    scratch.mkdir()
    ended = drawn(DRAW, str(scratch), extra={"HOME": str(home), "XDG_CONFIG_HOME": "", "XDG_CACHE_HOME": ""})
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert list(home.iterdir()) == list(scratch.iterdir()) == []


def test_what_needs_no_plot_does_not_load_matplotlib() -> None:
    """Half a second and 40 MB, of which a run of models that agree has nothing."""
    program = (
        "import sys\nfrom tests import samples\nfrom job.report import render_html\n"
        "render_html(samples.BROKEN)\nassert 'matplotlib' not in sys.modules\n"
    )
    ended = drawn(program, extra={})
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_environment_is_left_as_it_was() -> None:
    """What matplotlib is told by variables is not passed on to workers, nor to a library's user."""
    before = dict(os.environ)
    plots_of(samples.PUBLISHED)
    assert dict(os.environ) == before


@pytest.mark.parametrize("report", samples.REPORTS)
def test_each_section_has_plots_if_it_has_something_to_plot(report: ArtifactReport) -> None:
    """A drawer that applies draws, and no other does."""
    plots = plots_of(report)
    assert {section: bool(drawn) for section, drawn in plots.items()} == {
        drawer.section: True for drawer in DRAWERS if drawer.applies(report)
    }


def test_equal_reports_have_equal_plots() -> None:
    """No date, no random name: a page is the same bytes whenever it is written."""
    assert plots_of(samples.PUBLISHED) == plots_of(samples.PUBLISHED)


def test_lanes_draw_at_the_same_time() -> None:
    """Several threads get the same plots as one: matplotlib is given to one after another."""
    alone = plots_of(samples.PUBLISHED)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(plots_of, [samples.PUBLISHED] * 8)) == [alone] * 8


def test_letters_stay_letters_and_within_the_panel() -> None:
    """Text is text, to be read aloud and searched, and nothing hangs over the edge of a phone's page."""
    for plots in plots_of(samples.PUBLISHED).values():
        for plot in plots:
            assert "<text" in plot.svg
            assert f'width="{WIDTH}"' in plot.svg


def test_a_users_style_does_not_reach_a_report(tmp_path: Path) -> None:
    """A matplotlibrc in the working directory, and a notebook's backend, change nothing of the report's plots."""
    program = (
        "from tests import samples\nfrom job.report.figures import plots_of\n"
        "print(''.join(str(plot.svg) for plots in plots_of(samples.PUBLISHED).values() for plot in plots))\n"
    )
    (tmp_path / "matplotlibrc").write_text("font.size: 40\nsvg.fonttype: path\naxes.grid: True\nlines.linewidth: 9\n")
    command = [sys.executable, "-c", program]
    extra = {"MPLBACKEND": "no_such_backend"}
    loud = subprocess.run(
        command, env=environment(extra), cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120
    )
    plots = plots_of(samples.PUBLISHED).values()
    assert loud.stdout.rstrip("\n") == "".join(str(plot.svg) for each in plots for plot in each)


def test_a_panel_draws_what_it_is_given() -> None:
    """Bars stand on the floor, a mark is broken, a hollow point shows the ground."""
    with drawing() as figure:
        panel = Panel(figure, x=(0, 10), y=(0, 2))
        panel.bars([1.0], [2.0], width=1, colour="exact")
        panel.mark(5)
        panel.points([3], [1], colour="fast", marker="o", is_hollow=True)
        plot = panel.plot("n", title="t", description="d", series={})
    assert plot.svg.count("var(--exact)") == 1
    assert "stroke-dasharray" in plot.svg
    assert "fill: var(--ground); stroke: var(--fast)" in plot.svg


def test_a_figure_says_nothing_of_who_made_it_and_when() -> None:
    """Metadata would make each document another one."""
    with drawing() as figure:
        document = written(figure(figsize=(1, 1)))
    assert "<metadata" not in document


@pytest.mark.parametrize(
    ("value", "words"), [(0, "0"), (0.25, "0.25"), (250, "250"), (2500, "2,500"), (12000, "12k"), (2.5e6, "2.5M")]
)
def test_axes_have_short_numbers(value: float, words: str) -> None:
    """They stand in a margin of 40 pixels."""
    assert short(value) == words


def test_ticks_enclose_what_is_drawn() -> None:
    """The first is not above the least value, the last not below the largest, and there are few of them."""
    for low, high in ((0, 0.9), (0.95, 1.23), (0, 38_000), (1, 1)):
        ticks = nice(low, high)
        assert ticks[0] <= low
        assert ticks[-1] >= high
        assert 2 <= len(ticks) <= 7


def test_plots_of_one_batch_size_are_left_to_the_table() -> None:
    """A curve has two points at least."""
    one = replace(samples.BENCHMARK, measurements=samples.BENCHMARK.measurements[:1])
    assert "speed" not in plots_of(replace(samples.PUBLISHED, benchmark=one))
