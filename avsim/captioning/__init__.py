"""Recaptioning: clips -> captions in several styles, of which training samples one at a time.

    captioners  Captioner, and which one a name means: detectors, a vision-language model, a user's function
    folders     captions of a folder of videos, in files beside them
    shards      captions of the clips of `avsim prepare`, in their index

DALL-E 3 (Betker et al., 2023) and Sora train on such captions.
"""

from avsim.captioning.captioners import Captioner, captioner_of
from avsim.captioning.folders import caption_folder
from avsim.captioning.report import Captioned
from avsim.captioning.shards import caption_shards

__all__ = ["Captioned", "Captioner", "caption_folder", "caption_shards", "captioner_of"]
