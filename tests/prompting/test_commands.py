"""The commands read ordinary sentences, say what they made of them, and keep both."""

import json
from types import SimpleNamespace

import pytest
import torch

from avsim.__main__ import main
from avsim.clip import Clip, ClipSpec
from avsim.diffusion import Guidance
from avsim.evaluation.result import NotJudged
from avsim.evaluation.text import facts_of_caption
from avsim.prompting import rewrite
from avsim.world.captions.parsing import facts_in
from avsim.world.flat import scene_files

guided: list[dict | None] = []  # the guidance of each clip


@pytest.fixture
def prompts(monkeypatch) -> list[str]:
    """What the model is prompted with, by a stand-in for it."""
    given: list[str] = []
    guided.clear()

    def generate(prompt, seconds, **how):
        given.append(prompt)
        guided.append(how["guidance"])
        return Clip(torch.rand(3, 4, 32, 32), torch.rand(1, 4000) - 0.5, 16.0, 16000)

    stand = SimpleNamespace(generate=generate, task_guidance=lambda task, **said: said)
    stand.missing = lambda clip, prompt: ()
    stand.spec = ClipSpec()
    stand.resolved = lambda task, said: (Guidance(**(said or {})), None if said else "student")
    monkeypatch.setattr("avsim.simulator.load", lambda *_, **__: stand)
    return given


def test_generate_rewrites_a_prompt_says_so_and_stores_both(prompts, tmp_path, capsys):
    written = "drop a red ball on the lawn, beautiful, without a trumpet"
    assert main(["generate", "--prompt", written, "--out", f"{tmp_path}/many/"]) == 0
    (prompt,) = prompts
    assert facts_in(prompt) == facts_in("a red ball falls onto the grass in a national park")
    said = capsys.readouterr().err
    assert (
        f'rewritten: "{prompt}"' in said
        and "dropped: beautiful" in said
        and 'negative prompt: "trumpet"' in said
    )
    assert guided == [{"negative_prompt": "trumpet"}]
    (entry,) = json.loads((tmp_path / "many" / "samples.json").read_text())
    assert entry["prompt"] == written and entry["rewritten"] == prompt
    sampled = entry["sampled_with"]  # by the generator, as the student takes no negative prompt
    assert sampled["student"] is False and sampled["negative_prompt"] == "trumpet"


@pytest.mark.parametrize(
    ("prompt", "flags"), [("drop a red ball", ["--no-rewrite"]), ("a red ball falls in a cave", [])]
)
def test_a_caption_and_a_prompt_that_is_not_to_be_rewritten_pass_through(
    prompts, prompt, flags, tmp_path, capsys
):
    assert main(["generate", "--prompt", prompt, *flags, "--out", f"{tmp_path}/many/"]) == 0
    assert prompts == [prompt] and "rewritten" not in capsys.readouterr().err
    (entry,) = json.loads((tmp_path / "many" / "samples.json").read_text())
    assert entry["prompt"] == prompt and "rewritten" not in entry


def test_a_folder_holds_clips_of_one_way_to_prompt(prompts, tmp_path, capsys):
    command = ["generate", "--prompt", "drop a red ball", "--out", f"{tmp_path}/many/"]
    assert main(command) == 0 and main([*command, "--no-rewrite"]) == 2
    assert "other settings" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("sentence", "things"),
    [
        ("two balls fall slowly", ["ball", "ball"]),
        ("hit the bell, then play the violin", ["bell", "violin"]),
        ("a ball bounces on the lawn", ["ball"]),
        ("敲三下铃", ["bell"]),
    ],
)
def test_world_makes_a_clip_of_an_ordinary_sentence(sentence, things, tmp_path):
    command = ["world", "--say", sentence, "--seconds", "2", "--jobs", "1", "--out", str(tmp_path / "out")]
    assert main(command) == 0
    (clip,) = json.loads((tmp_path / "out" / "clips.json").read_text())
    assert sorted(thing.noun.kind for thing in facts_in(clip["full"]).things) == sorted(things)


def test_world_refuses_a_sentence_by_the_word_that_stopped_it(tmp_path, capsys):
    assert main(["world", "--say", "a dragon plays the violin", "--out", str(tmp_path / "out")]) == 2
    assert "unknown word 'dragon'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_evaluation_reads_ordinary_sentences_and_logs_what_it_cannot_read(caplog):
    assert facts_of_caption("Drop a red ball!") == facts_in("a red ball falls")
    with pytest.raises(NotJudged):
        facts_of_caption("a gryphon plays")
    assert "gryphon" in caplog.text


def test_playing_alone_is_not_being_left_alone():
    for prompt in ("a violin plays alone", "a violin plays alone in a cave"):
        (thing,) = facts_in(rewrite(prompt)).things
        assert thing.does == "plays" and not thing.silent
    scene = scene_files.said(rewrite("a violin plays alone"))
    assert scene.players[0].notes
    assert facts_in("a bell is left alone").things[0].does == "is left alone"
