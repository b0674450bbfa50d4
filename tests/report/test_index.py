from collections.abc import Iterator
from dataclasses import replace

from job.records import Finding, LeftAlone
from job.report import index, render_index
from tests import samples
from tests.report.pages import Page


def links_of(seen: Page) -> Iterator[str | None]:
    return (attributes["href"] for attributes in seen.all("a"))


def test_the_index_names_warnings() -> None:
    """What a reader of the index should look into stands beside the artifact's name; mere notes do not."""
    noted = replace(samples.SUMMARY, findings=(Finding(code="tags_chosen", cause="x"), *samples.SUMMARY.findings))
    seen = Page(render_index([replace(samples.PUBLISHED, summary=noted)])).text
    assert "102.4 MB training_switch published" in seen
    assert "tags_chosen" not in seen


def test_the_index_lists_every_artifact() -> None:
    """Status, error and ratio of each, counts of outcomes, and the reason of each failure."""
    text = Page(render_index(samples.REPORTS)).text
    counts = "5 artifacts: 2 not published, 2 published, 1 published before."
    assert text.startswith(f"TensorFlow 1 to 2, index of a run {counts}")
    assert "vision/resnet50 SavedModel, 102.4 MB training_switch published 3.1e-07 1.18x (1.15 to 1.21)" in text
    assert "the GraphDef is truncated at byte 1024; s3://models/broken/frozen.pb; code 40 upload it again" in text


def test_the_index_links_reports() -> None:
    """A link is relative to the index and quoted; it can be no script."""
    links = {samples.ARTIFACT.name: "../../a b/report.html", samples.BROKEN.artifact.name: "javascript:alert(1)"}
    seen = Page(render_index([samples.PUBLISHED, samples.BROKEN], links=links))
    assert list(links_of(seen)) == ["javascript%3Aalert%281%29", "../../a%20b/report.html"]


def test_the_index_says_what_was_left_alone() -> None:
    """Each object with its reason; of a whole data set only the first ones, and how many more there are."""
    left = [LeftAlone(key=f"{number}.jpg", reason=".jpg files hold no models") for number in range(1002)]
    text = Page(render_index([samples.PUBLISHED], left_alone=left)).text
    assert "0.jpg .jpg files hold no models" in text
    assert "1000.jpg" not in text
    assert "And 2 more" in text


def test_an_empty_run_has_an_index() -> None:
    """A shard without artifacts still publishes what it did."""
    assert "This shard had no artifacts." in Page(render_index([])).text


def test_the_worst_come_first() -> None:
    """What failed, then what is not proven, then what is, and last what was there already."""
    in_order = [samples.PARITY_FAILED, samples.BROKEN, samples.UNPROVEN, samples.PUBLISHED, samples.ALREADY_PUBLISHED]
    assert index.worst_first(samples.REPORTS[::-1]) == in_order


def test_the_largest_error_comes_before_smaller_ones() -> None:
    """Among what is proven a reader looks first at what is furthest off."""
    worse = replace(samples.PUBLISHED, parity=replace(samples.PARITY, outputs=samples.AS_RUN.outputs))
    assert index.worst_first([samples.PUBLISHED, worse]) == [worse, samples.PUBLISHED]


def test_the_index_begins_with_what_a_run_came_to() -> None:
    """How many are proven, with the largest error and the range of ratios, and why the others are not published."""
    text = Page(render_index(samples.REPORTS)).text
    assert (
        "1 of the 2 published answer as their TF1 graphs do: none is off by more than 3.1e-07 of its output's "
        "largest magnitude; throughput is 1.18 times TF1's."
    ) in text
    assert "Not published because: parity_failed (41) 1, bad_input (40) 1." in text


def test_the_index_says_what_the_run_was() -> None:
    """The run's own facts, what all reports say alike of where it ran, and its document."""
    other = replace(samples.PUBLISHED, environment={"tensorflow": "2.21.0", "publishing": "weak"})
    apart = replace(samples.PUBLISHED, environment={"tensorflow": "2.21.0", "publishing": "strong"})
    page = Page(render_index([other, apart], told={"Exit code": "0"}, document="shard-0.json"))
    assert "Exit code 0" in page.text
    assert "tensorflow 2.21.0 grappler off" in page.text
    assert "publishing" not in page.text
    assert "shard-0.json" in list(links_of(page))
