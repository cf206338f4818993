"""Pages and plots that people look at and listen to."""

from avsim.report.card import Shown, card
from avsim.report.html import Html, Section, image, page, row, table
from avsim.report.plots import spectrogram, strip

__all__ = ["Html", "Section", "Shown", "card", "image", "page", "row", "spectrogram", "strip", "table"]
