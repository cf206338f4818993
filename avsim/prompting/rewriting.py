"""`rewrite`: the rewriter that a checkpoint needs, and what it makes of a prompt."""

from pathlib import Path

from avsim import weights
from avsim.prompting.rules import Rewritten, rewritten


def rewrite(prompt: str, checkpoint: str | Path = "small") -> str:
    """A prompt as a caption in the style that the checkpoint was trained on.

    Args:
        prompt: ordinary English or Chinese. What is a caption already comes back unchanged, and so does
            every prompt if the checkpoint was not trained on the synthetic worlds.
        checkpoint: as `avsim.load` takes it.

    Raises:
        InputError: no such checkpoint.
    """
    return rewrite_prompt(prompt, checkpoint).prompt


def rewrite_prompt(prompt: str, checkpoint: str | Path = "small") -> Rewritten:
    """`rewrite` with the negative prompt ("no trumpet", "without people") and the dropped words.

    Raises:
        InputError: no such checkpoint.
    """
    return rewritten(prompt) if places_of(checkpoint) else Rewritten(prompt)


def places_of(checkpoint: str | Path) -> tuple[str, ...]:
    """The synthetic worlds' places that a checkpoint was trained on; none: it was trained on other clips.

    Raises:
        InputError: no such checkpoint.
    """
    if str(checkpoint) == "small" and not Path("small").is_dir():
        folder = weights.SMALL / "generator"
    else:
        from avsim.simulator.loading import part_folders

        folder = part_folders(checkpoint).get("generator", Path())
    notes = weights.notes_of(folder) if (folder / weights.CONFIG).is_file() else {}
    return tuple(map(str, notes.get("places") or ()))
