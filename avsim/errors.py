"""The one error that a user is meant to read."""

import re


class InputError(ValueError):
    """Something the user gave cannot be used; the message names it, what was found and what was expected.

    The command line prints the message alone, in one line, and exits with code 2. Raise it for files,
    arguments and configs; leave every other exception to mean a fault of avsim's own.
    """


def first_line_of(error: BaseException) -> str:
    """The first line of what an error of another library says; its class where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def shortened(message: str, width: int = 300) -> str:
    """One line of an error of jsonargparse, yaml or torch: what is wrong, without the tree of attempts."""
    line = " ".join(part for part in (line.strip(" -") for line in message.splitlines()) if part)
    line = re.sub(r"Does not validate against any of the Union subtypes Subtypes: \[.*?\] Errors: ", "", line)
    line = re.sub(r" Expected a <class 'NoneType'>.*", "", line)  # the attempt to read it as "nothing"
    return line if len(line) <= width else line[: width - 1] + "…"
