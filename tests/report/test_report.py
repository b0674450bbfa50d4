import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from job.records import ArtifactReport, Finding
from job.report import SECTIONS, Section, render_html, render_index, verdict
from job.results import TuningResult
from tests import samples
from tests.report.pages import Page, page


@pytest.mark.parametrize("report", samples.REPORTS)
def test_every_outcome_renders_with_the_verdict_first(report: ArtifactReport) -> None:
    """Below the name, the first sentence of any report is its verdict, and the HTML is well formed."""
    seen = page(report).text
    assert seen.startswith(f"TensorFlow 1 to 2, report of one model {report.artifact.name} {verdict.sentence(report)}")


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.name)
def test_every_section_of_a_full_report_says_something(section: Section) -> None:
    """Each section in the list applies to a full report and has a heading and more than that."""
    html = render_html(samples.PUBLISHED)
    start = html.index(f'<section id="{section.name}"')
    words = Page(html[start : html.index("</section>", start) + len("</section>")]).text
    assert words.startswith(section.title)
    assert len(words) > len(section.title)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.name)
def test_no_section_is_printed_empty(section: Section) -> None:
    """A section that does not apply leaves no heading behind."""
    for report in samples.REPORTS:
        assert (f'<section id="{section.name}"' in render_html(report)) == section.applies(report)


@pytest.mark.parametrize("report", samples.REPORTS)
def test_the_page_needs_nothing_but_itself(report: ArtifactReport) -> None:
    """No script, image, style sheet or font is fetched, and the page's own policy forbids it."""
    seen = page(report)
    assert {tag for tag, _ in seen.tags} & {
        "script",
        "img",
        "link",
        "iframe",
        "object",
        "image",
        "foreignobject",
    } == set()
    assert not [attributes for _, attributes in seen.tags if "src" in attributes or "onclick" in attributes]
    assert re.search(r"url\(|@import", render_html(report)) is None
    assert "default-src 'none'" in render_html(report)
    assert all((link["xlink:href"] or "").startswith("#") for link in seen.all("use"))


def test_names_cannot_write_html() -> None:
    """A name with markup, quotes or control characters is shown as text."""
    name = "<script>alert('1')</script>\x1b[31m\""
    report = replace(samples.PUBLISHED, artifact=replace(samples.ARTIFACT, name=name))
    for html in (render_html(report), render_index([report], links={name: "a"})):
        assert "<script>" not in html
        assert "\x1b" not in html
        assert "<script>alert('1')</script>\\x1b[31m\"" in Page(html).text


def test_no_secret_is_in_the_report() -> None:
    """A presigned address in an error loses its query here as in the logs."""
    assert samples.BROKEN.error is not None
    error = replace(samples.BROKEN.error, where="https://host/key?X-Amz-Signature=canary")
    report = replace(samples.BROKEN, error=error)
    assert "canary" not in render_html(report) + render_index([report])


def test_a_failure_says_what_where_and_what_to_do() -> None:
    """The error's parts and its exit code come first, and nothing says how to load a model that is not there."""
    text = page(samples.BROKEN).text
    assert (
        "Not published: the GraphDef is truncated at byte 1024. Where s3://models/broken/frozen.pb "
        "What to do upload it again Exit code 40 (bad_input), in stage convert"
    ) in text
    assert "saved_model.load" not in text


def test_findings_of_what_failed_are_shown_too() -> None:
    """What was found out before an artifact failed helps to mend it: the heaviest first, each with code and remedy."""
    noted = Finding(code="tags_chosen", cause="of two tag sets the job took serve")
    summary = replace(samples.SUMMARY, signatures=(), variable_count=0, findings=(noted, *samples.SUMMARY.findings))
    seen = page(replace(samples.BROKEN, summary=summary)).text
    warned = seen.index("is_training was set to False training_switch export the model for inference")
    assert warned < seen.index("of two tag sets the job took serve tags_chosen")
    assert "Variables not known" in seen


def test_the_verdict_leads_to_warnings() -> None:
    """What was assumed can make a proven model a wrong one, so the verdict does not stand without it."""
    link = 'read <a href="#findings">'
    assert link in render_html(samples.PUBLISHED)
    plain = replace(samples.SUMMARY, findings=())
    assert link not in render_html(replace(samples.PUBLISHED, summary=plain))


def test_parity_shows_both_questions_apart() -> None:
    """The gate's figures and those of the model as run are two tables with their own headings."""
    text = page(samples.PUBLISHED).text
    gate, as_run = text.index("Is the conversion exact?"), text.index("Does it run as exactly as that?")
    assert gate < text.index("3.1e-07", gate) < as_run < text.index("4.2e-06", as_run)
    assert "12" in text[gate:as_run]
    assert "100.0 %" in text[gate:as_run]
    assert "Compared on: zeros, batch 1; normal, batch 2." in text


def test_parity_failure_names_the_place() -> None:
    """The reason of a failed output is printed with it."""
    assert "worst at [0, 17]: baseline 1, candidate 2" in page(samples.PARITY_FAILED).text


def test_exact_types_have_no_tolerance() -> None:
    """Integers are compared exactly, and the table says so."""
    row = re.search(r"<code>classes</code> .*?</tr>", render_html(samples.PUBLISHED), re.DOTALL)
    assert row is not None
    assert ">exact<" in row.group()


@pytest.mark.parametrize(
    "report",
    [
        samples.PARITY_FAILED,
        samples.UNPROVEN,
        replace(samples.PUBLISHED, as_run=replace(samples.AS_RUN, verdict="failed")),
    ],
)
def test_no_speed_is_printed_for_what_failed_parity(report: ArtifactReport) -> None:
    """Neither the ratio nor the throughputs that it could be computed from are printed."""
    text = page(report).text
    assert "No speed is told" in text
    for figure in ("1.31x", "1.18", "34.6", "29.3"):
        assert figure not in text


def test_speed_has_interval_and_units() -> None:
    """Each batch size shows throughputs, latencies with their unit, and the ratio with its interval."""
    text = page(samples.PUBLISHED).text
    assert (
        "Batch 8 host TF1 graph 29.3 28.7 to 29.6 - 10.0 / 14.0 "
        "Batch 8 host saved_model 34.6 33.9 to 34.9 1.18x 1.15 to 1.21 10.0 / 14.0"
    ) in text
    assert "Examples/s" in text
    assert "p50 / p99, ms" in text
    assert "Time to load, ms: TF1 graph 1,520, saved_model 2,810." in text


def test_unstable_is_said_and_its_ratio_kept_back() -> None:
    """Batch 16 did not settle: its row says so and has no ratio, and a sentence explains it."""
    text = page(samples.PUBLISHED).text
    assert "16 host saved_model 35.2 34.5 to 35.6 unstable" in text
    assert "1.07x" not in text
    assert "Batch 16, fed from host, is unstable: windows differ by more than 10 %." in text


def test_every_cell_is_labelled_for_a_narrow_screen() -> None:
    """Where a phone shows a row as a list, every cell of the table for speeds has the name of its column."""
    table = render_html(samples.PUBLISHED).split('id="speed"')[1].split("</table>")[0]
    cells = 5 * 2 * len(samples.BENCHMARK.measurements)  # and the batch size, which heads its row
    assert table.count("<td") == table.count('<td role="cell" data-label=') == cells


def test_the_fast_variant_is_held_to_the_faithful_model() -> None:
    """Its ratio to saved_model has a column of its own, where it took part, and none is told of an unstable size."""
    stable, restless = samples.BENCHMARK.measurements[0], samples.BENCHMARK.measurements[2]
    measurements = (samples.with_fast(stable, 47.6, 2.62), samples.with_fast(restless, 105.6, 3.0))
    told = replace(samples.BENCHMARK, measurements=measurements)
    text = page(replace(samples.PUBLISHED, benchmark=told)).text
    assert "To TF1 (95 %) To saved_model (95 %) p50 / p99, ms" in text
    assert "saved_model_fast 47.6 46.6 to 48.1 2.62x 2.59 to 2.65 2.00x 1.97 to 2.03 10.0" in text
    assert "3.00x" not in text
    assert "To saved_model" not in page(samples.PUBLISHED).text


def test_what_belongs_to_the_figures_is_told_beside_them() -> None:
    """Saturation, own times with their ratio, a GPU's memory and clocks, and notes."""
    told = samples.MEASURED_ON_A_GPU
    text = page(replace(samples.PUBLISHED, benchmark=told)).text
    assert "Less than 5 % more throughput is gained beyond batch: TF1 graph 8, saved_model_fast 64." in text
    assert "saved_model 1.50 0.100 1.40 1.05x (1.02 to 1.08)" in text
    assert "GPU memory at most: TF1 graph 400.0 MB, saved_model 380.0 MB." in text
    assert "GPU, batch 8, fed from device: SM 1980 to 1980 MHz" in text
    assert "saved_model 34.6 33.9 to 34.9 1.18x 1.15 to 1.21 - " in text  # calls that do not wait have no latency
    assert "a note" in text


def test_a_faster_variant_is_told_with_its_gains_and_a_wrong_one_without() -> None:
    """What is published says by how much it wins and at which batch; what was dropped says the number that failed."""
    seen = page(samples.PUBLISHED)
    told = "A faster variant (folded, exact) lies in saved_model_fast: in the race 1.17x (1.15 to 1.19) at batch 1"
    assert told in seen.text
    assert "not settled at batch 16" in seen.text
    assert "saved_model_fast beside it loads by the same lines" in seen.text
    assert "53 batch norms folded" in seen.text
    assert "0.031 of the scale exceeds 0.01" in seen.text
    text = page(replace(samples.PUBLISHED, tuning=TuningResult(verdict="not_run", reason="--benchmark off"))).text
    assert "faster variant" not in text


def test_what_the_benchmark_says_of_the_fast_model_counts_more_than_the_race() -> None:
    """The race ends once it is decided; where the benchmark measured the same the sentence has its figures."""
    benchmark = replace(
        samples.BENCHMARK, measurements=(samples.with_fast(samples.measurement(8, 34.6, 1.18), 40.0, 1.4),)
    )
    text = page(replace(samples.PUBLISHED, benchmark=benchmark)).text
    assert "lies in saved_model_fast: in the benchmark 1.16x (1.13 to 1.19) at batch 8, over saved_model." in text


def test_headings_lead_downwards_and_no_name_is_there_twice() -> None:
    """One heading of the first level, none that skips a level, and ids that links may lead to."""
    seen = page(samples.PUBLISHED)
    levels = [int(tag[1]) for tag, _ in seen.tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(below <= above + 1 for above, below in pairwise(levels))
    ids = [attributes["id"] for _, attributes in seen.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [link["href"] or "" for link in seen.all("a")]
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)


def test_every_table_says_what_its_rows_and_columns_are() -> None:
    """Each table has a name, its columns have heads, and so has each row but for those that note something."""
    seen = page(samples.PUBLISHED)
    tables = seen.all("table")
    assert len([table for table in tables if table.get("aria-label")]) == len(tables) - 1
    assert all(head["scope"] in {"col", "row"} for head in seen.all("th"))
    rows = render_html(samples.PUBLISHED).split("<tr")[1:]
    assert all("<th" in row or 'class="note"' in row for row in rows)


def test_the_histogram_is_told_in_words_as_a_plot_and_as_a_table() -> None:
    """All comparisons have their place in each of the three, and the table has every output of several."""
    seen = page(samples.PUBLISHED)
    told = "of 3,006 compared values 2,903 are equal, 103 are off by less than 10⁻⁶ of the scale."
    assert f"Conversion alone: {told}" in seen.text
    assert "equal 10⁻⁹ to 10⁻⁸ 10⁻⁸ to 10⁻⁷ 10⁻⁷ to 10⁻⁶ 10⁻⁶ to 10⁻⁵ unequal" in seen.text
    assert "probabilities of serving_default conversion alone 2,900 80 - 23 - -" in seen.text
    assert "All outputs as run - - - 2,903 100 -" in seen.text
    region = next(one for one in seen.all("div") if one.get("role") == "region")
    assert (region["tabindex"], region["aria-label"]) == ("0", "Values by error")


def test_equal_answers_are_said_and_not_drawn() -> None:
    """Where every value is equal a plot would be a single bar."""
    equal = replace(samples.PARITY, outputs=(samples.CLASSES,))
    seen = page(replace(samples.PUBLISHED, parity=equal, as_run=None))
    assert "Conversion alone: all 3 compared values are equal." in seen.text
    assert "Values by error" not in render_html(replace(samples.PUBLISHED, parity=equal, as_run=None))


def test_what_failed_can_be_met_again() -> None:
    """The command is there, an option a line, with the sample that differs most."""
    html = render_html(samples.PARITY_FAILED)
    assert (
        "python -m job run \\\n  --source s3://models/tf1/ \\\n  --only vision/resnet50 \\\n  --dest reproduced" in html
    )
    assert "with the sample “normal, batch 2”" in Page(html).text


def test_files_are_linked_beside_the_report(tmp_path: Path) -> None:
    """What lies in the directory is listed with its size, and the commit above it."""
    (tmp_path / "saved_model").mkdir()
    (tmp_path / "saved_model" / "a b.pb").write_bytes(bytes(2000))
    seen = Page(render_html(samples.PUBLISHED, directory=tmp_path))
    links = [link["href"] for link in seen.all("a")]
    assert links[-4:] == ["saved_model/a%20b.pb", "report.json", "log.jsonl", "../commit.json"]
    assert "saved_model/a b.pb 2.0 kB" in seen.text


def test_a_long_sweep_tells_the_fast_models_gain_as_a_range() -> None:
    """The sentence stays one that can be read."""
    measurements = tuple(
        samples.with_fast(samples.measurement(size, 10.0 * size, 1.0), 15.0 * size, 1.5) for size in (1, 2, 4, 8)
    )
    text = page(replace(samples.PUBLISHED, benchmark=replace(samples.BENCHMARK, measurements=measurements))).text
    assert "in the benchmark 1.50x to 1.50x at batch 1 to 8, over saved_model." in text
