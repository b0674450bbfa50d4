import pytest

from tests.docs.shown import missing

PRINTED = """\
artifact     format    size      took
a/frozen.pb  GraphDef  219.8 kB  3.25 s
plan 0123456789abcdef of 2026-11-23
done, exit code 0
"""


@pytest.mark.parametrize(
    "shown",
    [
        PRINTED,
        "artifact format size took",
        "artifact     format    size      took\n...\ndone, exit code 0\n",
        "a/frozen.pb  GraphDef  219.8 kB  17 s",
        "a/frozen.pb …",
        "plan ffffffffffff of 2025-01-01",
        "",
    ],
)
def test_what_differs_on_every_machine_may_differ(shown: str) -> None:
    """Blanks, measurements, dates and digests may be others, lines may be left out, and ``…`` stands for anything."""
    assert missing(shown, PRINTED) == ""


@pytest.mark.parametrize(
    ("shown", "line"),
    [
        ("done, exit code 1", "done, exit code 1"),
        ("done, exit code 0\nartifact     format    size      took", "artifact     format    size      took"),
        ("a/frozen.pb  GraphDef  220.8 kB  3.25 s", "a/frozen.pb  GraphDef  220.8 kB  3.25 s"),
        ("a/frozen.pb  SavedModel …", "a/frozen.pb  SavedModel …"),
    ],
)
def test_what_a_page_claims_must_be_there_in_order(shown: str, line: str) -> None:
    """A word, a count or an order that is wrong is found, and told by its line."""
    assert missing(shown, PRINTED) == line
