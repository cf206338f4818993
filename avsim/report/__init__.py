"""Pages and plots that people look at and listen to."""

from avsim.report.html import Html, Section, image, page, row, table
from avsim.report.players import embed, player
from avsim.report.plots import spectrogram, strip

__all__ = ["Html", "Section", "embed", "image", "page", "player", "row", "spectrogram", "strip", "table"]
