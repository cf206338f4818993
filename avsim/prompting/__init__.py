"""Prompt rewriting: what people write -> captions in the style that a checkpoint was trained on."""

from avsim.prompting.rewriting import Rewritten, rewrite, rewrite_prompt

__all__ = ["Rewritten", "rewrite", "rewrite_prompt"]
