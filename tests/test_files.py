"""Outputs are whole or absent; a folder has one writer."""

import errno
import subprocess
import sys

import pytest

from avsim.errors import InputError
from avsim.files import atomic, claimed


def test_atomic_replaces_at_the_end(tmp_path):
    target = tmp_path / "deep" / "a.txt"
    with atomic(target) as temporary:
        temporary.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new" and [p.name for p in target.parent.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("fault", [KeyboardInterrupt, RuntimeError])
def test_atomic_leaves_the_old_file_on_failure(tmp_path, fault):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(fault), atomic(target) as temporary:
        temporary.write_text("half")
        raise fault
    assert target.read_text() == "old" and list(tmp_path.iterdir()) == [target]


def test_a_full_disk_is_one_clear_line(tmp_path):
    with pytest.raises(InputError, match="a.txt.*No space left"), atomic(tmp_path / "a.txt"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write here"), atomic(tmp_path / "file" / "a.txt"):
        pass


def test_a_claim_is_for_one_process_and_dies_with_it(tmp_path):
    take = f"from avsim.files import claimed\nwith claimed({str(tmp_path)!r}): "
    other = take + "print('mine', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", other], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "mine\n"
        with pytest.raises(InputError, match="another running avsim"), claimed(tmp_path):
            pass
        holder.kill()
        holder.wait()
    with claimed(tmp_path):
        pass
