from dataclasses import replace

from job.inspection import Inspected
from job.records import ArtifactReport, ErrorRecord, Format
from job.report.survey import is_whole, render_survey
from tests import samples

INCOMPLETE = replace(
    samples.BROKEN,
    artifact=replace(samples.ARTIFACT, name="parts|of it"),
    error=ErrorRecord(exit_code=40, code_name="incomplete", what="no values"),
)


def inspected(report: ArtifactReport, *, will_convert: bool) -> Inspected:
    """Return what `inspect` might have said of a report's artifact."""
    error = None if will_convert else samples.BROKEN.error
    return Inspected(artifact=report.artifact, will_convert=will_convert, summary=report.summary, error=error)


def rendered(*reports: ArtifactReport, foreseen: bool = True) -> str:
    """Render a survey in which `inspect` was right about all, or about none."""
    said = [inspected(report, will_convert=(report.error is None) == foreseen) for report in reports]
    return render_survey(said, reports, {"tf1lift": "0.1.0", "tensorflow": "2.21.0"})


def test_each_artifact_has_its_row() -> None:
    """What it is, what was said of it before, and what became of it stand in one line."""
    lines = rendered(samples.PUBLISHED, samples.BROKEN).splitlines()
    assert lines[-2] == (
        "| vision/resnet50 | SavedModel | TensorFlow 1.15.5 | 102.4 MB | will convert | published | passed | 3.1e-07 "
        "| training_switch |"
    )
    assert lines[-1] == (
        "| broken/frozen | GraphDef | - | 102.4 MB | will not: bad_input | bad_input (40) | - | - "
        "| the GraphDef is truncated at byte 1024 |"
    )


def test_counts_are_of_the_whole_ones() -> None:
    """What lacks parts cannot convert, and is not counted against those that can."""
    unproven = replace(samples.UNPROVEN, artifact=replace(samples.ARTIFACT, name="unproven"))
    said = rendered(samples.PUBLISHED, unproven, samples.BROKEN, INCOMPLETE)
    assert "- 4 artifacts, of which 1 lack parts or cannot be opened and 3 are whole\n" in said
    assert "- 2 of the whole were converted (66.7 %)\n- 1 of the whole passed parity (33.3 %)\n" in said
    assert "| bad_input (40) | 1 |" in said
    pointer = replace(samples.BROKEN, artifact=replace(samples.ARTIFACT, format=Format.UNREADABLE))
    assert [is_whole(report) for report in (samples.BROKEN, INCOMPLETE, pointer)] == [True, False, False]


def test_survey_without_a_whole_artifact_has_no_share() -> None:
    """Nothing is divided by nothing."""
    assert "- 0 of the whole were converted (none)" in rendered(INCOMPLETE)


def test_what_inspect_did_not_foresee_is_named() -> None:
    """A refusal that `inspect` was silent about is a fault of `inspect`, and is shown."""
    assert "`inspect` foresaw what became of each." in rendered(samples.PUBLISHED, samples.BROKEN)
    assert "`inspect` did not foresee: broken/frozen." in rendered(samples.BROKEN, foreseen=False)


def test_names_break_no_table() -> None:
    """A name with the table's own separator stays in its cell."""
    assert "| parts\\|of it | " in rendered(INCOMPLETE)
