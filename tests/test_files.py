"""Outputs are whole or absent; a folder has one writer."""

import errno
import os
import subprocess
import sys

import pytest
from safetensors import SafetensorError

from avsim.errors import InputError
from avsim.files import _exchanged, atomic, claimed, clear_partial


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


@pytest.mark.parametrize("at", ["the old one steps aside", "the new one takes its name"])
def test_atomic_loses_no_folder_when_it_is_stopped(tmp_path, monkeypatch, at):
    target, moves = tmp_path / "model", []
    target.mkdir()
    (target / "weights").write_text("old")

    def replace(one, other):
        moves.append(one)
        if len(moves) == (1 if at.startswith("the old") else 2):
            raise KeyboardInterrupt
        os.rename(one, other)

    monkeypatch.setattr("avsim.files._exchanged", lambda *_: False)  # as where the system can't
    monkeypatch.setattr("avsim.files.os.replace", replace)
    with pytest.raises(KeyboardInterrupt), atomic(target) as temporary:
        temporary.mkdir()
        (temporary / "weights").write_text("new")
    assert (target / "weights").read_text() == "old" and list(tmp_path.iterdir()) == [target]
    with atomic(target) as temporary:
        temporary.mkdir()
    assert not list(target.iterdir()) and list(tmp_path.iterdir()) == [target]


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


def test_a_folder_is_exchanged_in_one_step(tmp_path, monkeypatch):
    target = tmp_path / "model"
    target.mkdir()
    (target / "weights").write_text("old")
    if not _exchanged(target, target):
        pytest.skip("no renameat2 here")
    monkeypatch.setattr("avsim.files.os.replace", lambda *_: pytest.fail("two renames"))
    with atomic(target) as temporary:
        temporary.mkdir()
        (temporary / "weights").write_text("new")
    assert (target / "weights").read_text() == "new" and list(tmp_path.iterdir()) == [target]


def test_tensors_on_a_full_disk_are_one_clear_line(tmp_path):
    with pytest.raises(InputError, match="a.safetensors: could not be written"):
        with atomic(tmp_path / "a.safetensors"):
            raise SafetensorError("No space left on device")
    assert not list(tmp_path.iterdir())


def writer(target):
    """A process that has begun to write `target`."""
    code = (
        "from avsim.files import atomic\n"
        f"with atomic({str(target)!r}) as temporary:\n"
        "    temporary.write_text('half')\n"
        "    print('begun', flush=True)\n"
        "    import time; time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    return process


@pytest.mark.parametrize("how", ["the next file", "the next claim"])
def test_what_a_killed_process_was_writing_goes_and_what_a_running_one_writes_stays(tmp_path, how):
    made = tmp_path / "deep"
    with writer(made / "killed.txt") as killed, writer(made / "running.txt") as running:
        killed.kill()
        killed.wait()
        assert len(list(made.iterdir())) == 2
        if how == "the next file":
            with atomic(made / "other.txt") as temporary:
                temporary.write_text("other")
        else:
            with claimed(tmp_path):
                pass
        assert [path.name[:12] for path in made.glob(".*")] == [".running.txt"]
        running.kill()


def test_a_folder_that_had_stepped_aside_when_its_writer_was_killed_comes_back(tmp_path):
    aside = tmp_path / ".model.abcdefgh.partial" / "model.before"
    aside.mkdir(parents=True)
    (aside / "weights").write_text("old")
    clear_partial(tmp_path)
    assert (tmp_path / "model" / "weights").read_text() == "old" and len(list(tmp_path.iterdir())) == 1
