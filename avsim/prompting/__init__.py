"""Prompt rewriting: what people write -> captions in the style that a checkpoint was trained on."""

from avsim.prompting.rewriting import Rewritten, rewrite, rewrite_prompt
from avsim.prompting.rules import place_caption

__all__ = ["Rewritten", "place_caption", "rewrite", "rewrite_prompt"]
