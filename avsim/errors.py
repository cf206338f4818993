"""The one error that a user is meant to read."""


class InputError(ValueError):
    """Something the user gave cannot be used; the message names it, what was found and what was expected.

    The command line prints the message alone, in one line, and exits with code 2. Raise it for files,
    arguments and configs; leave every other exception to mean a fault of avsim's own.
    """
