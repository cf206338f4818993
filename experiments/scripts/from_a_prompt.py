"""A clip with audio from a prompt: python from_a_prompt.py RUN "a ball falls" out.mp4"""

import sys

import avsim

run, prompt, path = sys.argv[1:]
clip = avsim.load(run).generate(prompt, seconds=2.0, seed=0)
print(clip.write(path))
