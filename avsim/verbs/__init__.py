"""The verbs of the command line, one module each; heavy imports stay inside `run`."""

import argparse


def size(text: str) -> tuple[int, int]:
    """(H, W) from an argument as people say it, WxH."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"{text!r}; expected WxH, such as 64x64")
    return int(height), int(width)
