"""`rewrite`: a prompt -> a caption in the style that a checkpoint was trained on."""

from pathlib import Path

from avsim import weights
from avsim.errors import InputError
from avsim.prompting.chat import SYSTEM_PROMPT, rewritten_by_model, rewritten_by_server
from avsim.prompting.rules import Rewritten, rewritten

RULES = "rules"


def rewrite(
    prompt: str,
    checkpoint: str | Path = "small",
    rewriter: str = RULES,
    system_prompt: str = SYSTEM_PROMPT,
) -> str:
    """A prompt as a caption in the style that the checkpoint was trained on.

    Args:
        prompt: with the rules, ordinary English or Chinese. What is a caption already comes back unchanged,
            and so does every prompt if the checkpoint was not trained on the synthetic worlds.
        checkpoint: as `avsim.load` takes it.
        rewriter: "rules"; "transformers:MODEL", a chat model in a folder or on the hub; or "openai:URL", a
            server with OpenAI's interface ("#name" behind the address chooses a model).
        system_prompt: what a chat model is to do.

    Raises:
        InputError: no such checkpoint or rewriter, or no usable answer.
    """
    return rewrite_prompt(prompt, checkpoint, rewriter, system_prompt).prompt


def rewrite_prompt(
    prompt: str,
    checkpoint: str | Path = "small",
    rewriter: str = RULES,
    system_prompt: str = SYSTEM_PROMPT,
) -> Rewritten:
    """`rewrite` with the negative prompt ("no trumpet", "without people") and the dropped words.

    Raises:
        InputError: no such checkpoint or rewriter, or no usable answer.
    """
    if rewriter == RULES:
        return rewritten(prompt) if _places_of(checkpoint) else Rewritten(prompt)
    kind, _, name = rewriter.partition(":")
    by = {"transformers": rewritten_by_model, "openai": rewritten_by_server}.get(kind)
    if by is None or not name:
        raise InputError(f"rewriter {rewriter!r}: expected rules, transformers:MODEL or openai:URL")
    return Rewritten(by(prompt, name, system_prompt))


def _places_of(checkpoint: str | Path) -> tuple[str, ...]:
    """The synthetic worlds' places that a checkpoint was trained on; none: it was trained on other clips."""
    if str(checkpoint) == "small" and not Path("small").is_dir():
        folder = weights.SMALL / "generator"
    else:
        from avsim.simulator.loading import part_folders

        folder = part_folders(checkpoint).get("generator", Path())
    notes = weights.notes_of(folder) if (folder / weights.CONFIG).is_file() else {}
    return tuple(map(str, notes.get("places") or ()))
