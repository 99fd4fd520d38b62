"""From the records of a study to a page, a terminal and a spreadsheet. Never imports a model."""

from dropkit.report.page import render
from dropkit.report.spreadsheet import csv
from dropkit.report.terminal import Summary, text

__all__ = ["Summary", "csv", "render", "text"]
