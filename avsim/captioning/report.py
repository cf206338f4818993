"""What became of the clips of a folder, and one clip's captions."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from avsim.captioning.captioners import Captioner
from avsim.clip import Clip
from avsim.errors import InputError

log = logging.getLogger("avsim")


@dataclass
class Captioned:
    """Counts of clips, and why some were passed over, by their names."""

    written: int = 0
    kept: int = 0  # of an earlier run
    passed_over: dict[str, str] = field(default_factory=dict)

    def check(self) -> Captioned:
        """Itself.

        Raises:
            InputError: nothing was captioned.
        """
        if not (self.written or self.kept):
            name, why = next(iter(self.passed_over.items()), ("clip", "there is none"))
            raise InputError(f"no clip could be captioned; the first, {name}: {why}")
        return self


def captions_of(captioner: Captioner, clip: Clip, seed: int) -> dict[str, str]:
    """A clip's captions by style.

    Raises:
        InputError: there are none; whatever is wrong with one clip, it does not end the job.
    """
    try:
        found = dict(captioner(clip, seed))
    except InputError:
        raise
    except Exception as error:  # of a model's or a user's own code
        raise InputError(f"the captioner failed ({type(error).__name__}: {error})") from error
    found = {style: caption for style, caption in found.items() if caption.strip()}
    if not found:
        raise InputError("the captioner returned no caption")
    return found
