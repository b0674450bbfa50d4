from dataclasses import replace

import pytest

from job.console.lines import cut, duration, ended_line
from job.records import ArtifactReport
from tests import samples
from tests.ptys import widest


@pytest.mark.parametrize(
    ("wall_s", "written"),
    [(0.4, "0 s"), (42, "42 s"), (99.4, "99 s"), (100, "2 min"), (5999, "100 min"), (9000, "2.5 h")],
)
def test_durations_are_written_as_one_says_them(wall_s: float, written: str) -> None:
    """Seconds for what one waits for, minutes and hours for what one comes back to."""
    assert duration(wall_s) == written


@pytest.mark.parametrize(
    ("report", "line"),
    [
        (samples.PUBLISHED, "✓ vision/resnet50            42 s  error 3.1e-07, 1.18x"),
        (samples.ALREADY_PUBLISHED, "✓ vision/resnet50            42 s  published before"),
        (samples.BROKEN, "✗ broken/frozen              42 s  bad_input: the GraphDef is truncated at by.."),
    ],
    ids=["published", "before", "failed"],
)
def test_a_line_tells_how_an_artifact_ended(report: ArtifactReport, line: str) -> None:
    """A mark, the name, the time, and the error with the ratio of throughputs, or the first words of why not."""
    assert ended_line(report, 42).plain(79) == line


@pytest.mark.parametrize("width", [30, 60, 79, 199])
@pytest.mark.parametrize("name", ["a", "team/models/" + "x" * 90 + "/resnet50", "模型" * 40])
def test_no_line_is_wider_than_the_terminal(width: int, name: str) -> None:
    """Long names, wide letters and long reasons are cut: a line that wraps would break what is drawn below it."""
    for report in samples.REPORTS:
        named = replace(report, artifact=replace(report.artifact, name=name))
        assert widest([ended_line(named, 1e5).plain(width)]) <= width


def test_a_long_name_keeps_its_end() -> None:
    """There the names of a bucket differ."""
    named = replace(samples.PUBLISHED.artifact, name="team/models/production/resnet50")
    line = ended_line(replace(samples.PUBLISHED, artifact=named), 1).plain(79)
    assert line.startswith("✓ ..s/production/resnet50 ")


def test_marks_are_ascii_where_there_is_no_more() -> None:
    """A terminal without Unicode sees which is which, too."""
    marks = [ended_line(report, 1, is_ascii=True).plain(60)[0] for report in (samples.PUBLISHED, samples.BROKEN)]
    assert marks == ["+", "x"]


def test_names_steer_no_line() -> None:
    """Nor does what an error quotes; no secret is in it either."""
    assert samples.BROKEN.error is not None
    error = replace(samples.BROKEN.error, what="\x1b[2J\nhttps://host/key?X-Amz-Signature=canary")
    line = ended_line(replace(samples.BROKEN, error=error), 1).plain(199)
    assert "\x1b" not in line
    assert "\n" not in line
    assert "canary" not in line


def test_what_has_room_is_not_cut() -> None:
    """What is cut says so, within the same width."""
    assert (cut("abcdef", 6), cut("abcdefg", 6)) == ("abcdef", "abcd..")
