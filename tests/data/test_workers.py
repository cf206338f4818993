"""A task that kills its process is named; the others are done."""

import os

import pytest

from avsim.data.workers import Crashed, run_all
from avsim.errors import InputError


def work(task):
    if task == 3:
        os._exit(9)  # as a decoder does that runs out of memory
    if task == 7:
        raise InputError("seven")
    return task * task


def test_a_crash_takes_nobody_along():
    results = dict(run_all(work, [1, 2, 3, 4, 5], 2, "squares"))
    assert isinstance(results.pop(3), Crashed)
    assert results == {1: 1, 2: 4, 4: 16, 5: 25}


def test_errors_are_raised():
    with pytest.raises(InputError, match="seven"):
        list(run_all(work, [1, 7], 1, "squares"))


def test_no_tasks():
    assert list(run_all(work, [], 2, "squares")) == []
