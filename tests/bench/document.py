"""A document with places for tables, between markers: what stands around them is written by hand."""

import re
from collections.abc import Iterable

from tests.bench.table import Table


def places(text: str) -> list[str]:
    """Return the names of the tables for which a document has a place."""
    return re.findall("<!-- bench:(.+?) -->", text)


def filled(text: str, tables: Iterable[Table]) -> str:
    """Return the document with these tables in their places; raises `ValueError` where one has none."""
    for table in tables:
        begin, end = f"<!-- bench:{table.name} -->\n", f"<!-- /bench:{table.name} -->"
        before, found_begin, rest = text.partition(begin)
        _, found_end, after = rest.partition(end)
        if not (found_begin and found_end):
            raise ValueError(f"the document has no place for the table {table.name}: {begin.strip()} and {end}")
        text = before + begin + table.markdown() + end + after
    return text
