"""Audio for a silent video; the frames stay as they are: python for_a_silent_film.py RUN in.mp4 out.mp4"""

import sys

import avsim
from avsim import media

run, film, path = sys.argv[1:]
silent = media.read(film, want="frames")
clip = avsim.load(run).foley(silent)
print(media.write(clip, path, video_from=film))
