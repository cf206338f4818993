"""Files <-> clips, by time stamps, with PyAV (FFmpeg).

`probe` tells what a file holds, `read` decodes a span of it, `write` makes a new one, `write_stream` one
that is longer than memory.
"""

from avsim.media.dub import Sound, check_dubbed, write_dubbed
from avsim.media.probe import Info, probe
from avsim.media.read import read
from avsim.media.stream import write_stream
from avsim.media.windows import Windows
from avsim.media.write import check_name, write

__all__ = [
    "Info",
    "Sound",
    "Windows",
    "check_dubbed",
    "check_name",
    "probe",
    "read",
    "write",
    "write_dubbed",
    "write_stream",
]
