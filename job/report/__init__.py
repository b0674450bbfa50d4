"""The report of one artifact and the index of a run: one HTML file each that needs nothing but itself."""

from job.report.pages import render_html, render_index
from job.report.sections import SECTIONS, Section

__all__ = ["SECTIONS", "Section", "render_html", "render_index"]
