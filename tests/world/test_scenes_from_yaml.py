"""Scenes that people write, as YAML or as a sentence, are what they say, or one clear line."""

import json
from dataclasses import replace

import numpy as np
import pytest
import yaml

from avsim import ClipSpec, InputError
from avsim.world import DIFFICULTIES, Scene, WorldDataset, render
from avsim.world.captions.parsing import facts_in
from avsim.world.flat.random_scenes import draw_scene
from avsim.world.flat.scene import Hit, Stick, Target
from avsim.world.flat.scene_files import read_scene, said
from tests.world.agreement import agree

SPEC = ClipSpec(height=32, width=32, sample_rate=8000, channels=1)
CAVE = """
place: cave
targets:
  - {kind: glass bottle, colour: blue}
stick:
  tip: metal
  hits:
    - {seconds: 0.8, speed: 4}
ambience: -.inf
"""


def test_a_scene_from_a_file(tmp_path):
    (tmp_path / "scene.yaml").write_text(CAVE)
    bottle = Target("glass bottle", "blue")
    stick = Stick("metal", (Hit(0.8, 4.0),))
    expected = Scene("cave", targets=(bottle,), stick=stick, ambience=-np.inf)
    assert read_scene(tmp_path / "scene.yaml") == expected


def test_every_random_scene_goes_to_a_file_and_back(tmp_path):
    for number in range(40):
        scene = draw_scene(DIFFICULTIES["full"], np.random.default_rng(number))
        (tmp_path / "scene.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(scene.plain()))))
        assert read_scene(tmp_path / "scene.yaml") == scene


NOTE = "players: [{{instrument: trumpet, notes: [{{{}}}]}}]"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("place: [", "is not YAML"),
        ("- a\n- b", "expected the fields of a scene"),
        ("", "expected the fields of a scene"),
        ("a metal ball falls", "expected the fields of a scene"),
        ("place: moon", "unknown place 'moon'"),
        ("bodies: [{shape: ball, colour: plaid}]", "unknown colour 'plaid'"),
        ("bodies: [{mass: 3}]", "unknown field 'mass'"),
        ("bodies: [{size: big}]", "scene.bodies[0].size: found 'big'; expected float"),
        ("stick: {hits: [{seconds: -1}]}", "seconds is -1 s"),
        ("stick: {hits: [{seconds: 1}]}", "there are 0 targets"),
        ("bodies: [{x: 0}, {x: 0.1}]", "overlap by"),
        ("bodies: [{x: .nan}]", "x is nan"),
        ("bodies: [{angle: .inf}]", "angle is inf"),
        (f"bodies: [{{size: 1{'0' * 400}}}]", "too large"),
        ("occluders: [{x: .nan}]", "x is nan"),
        ("walls: [{x: .nan}]", "x is nan"),
        ("camera: {shots: [{start: {x: .nan}}]}", "x is nan"),
        ("camera: {shots: [{}, {seconds: .nan}]}", "seconds is nan"),
        ("targets: [{}]\nstick: {hits: [{seconds: .inf}]}", "seconds is inf s; expected 0 or more"),
        (NOTE.format("seconds: 0, duration: -1, pitch: 60, loudness: 0.5"), "duration is -1 s"),
        (NOTE.format("seconds: -5, duration: 1, pitch: 60, loudness: 0.5"), "seconds is -5 s"),
        (NOTE.format("seconds: 0, duration: 1, pitch: 60, loudness: 9"), "loudness is 9; expected 0 to 1"),
        (NOTE.format("seconds: 0, duration: 1, pitch: 6, loudness: 0.5"), "pitch is 6; expected 55 to 82"),
        ("players: [{instrument: tuba, bank: none}]", "unknown bank 'none'"),
        ("place: !!python/object/apply:os.system [ls]", "is not YAML"),
        ("[" * 3000, "is not YAML"),
    ],
)
def test_mistakes_in_a_file_are_one_line_that_names_it(tmp_path, text, found):
    (tmp_path / "scene.yaml").write_text(text)
    with pytest.raises(InputError) as error:
        read_scene(tmp_path / "scene.yaml")
    assert found in str(error.value) and "scene.yaml" in str(error.value) and "\n" not in str(error.value)


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00\x9f")
    for path in (tmp_path / "bytes.yaml", tmp_path / "absent.yaml", tmp_path):
        with pytest.raises(InputError, match=path.name):
            read_scene(path)


def test_a_sentence_is_a_scene():
    scene = said("a stick strikes a glass bottle at 0.8 s, hard, in a cave")
    assert scene.place == "cave" and [target.kind for target in scene.targets] == ["glass bottle"]
    assert len(scene.stick.hits) == 1 and scene.stick.hits[0].seconds == 0.8
    assert scene.stick.hits[0].speed >= 3 and not scene.bodies and not scene.players


SENTENCES = [
    "a stick strikes a glass bottle at 0.8 s, hard, in a cave",
    "a felt-tipped stick hits a copper bell on the left gently five times about 4 times a second",
    "a bell is struck twice with one near miss; a drum is left alone",
    "a large chestnut wooden ball on the right is dropped onto the carpet in a concert hall",
    "a small glass cube hangs still while a rubber ring lies still on the grass",
    "someone plays a cello softly with three notes, and someone holds a tuba in silence in a cave",
    "a bell is struck with unequal force",
    "a metal bar is hit about 3 times a second",
    "a trumpet plays in its high register, rising, at 0.2 s",
    "off screen, a metal bar falls; an erhu plays in a national park",
    "an accordion plays; the frame cuts at 1 s; in the second shot the camera zooms in",
    "a red ball falls; a stone wall stands on the left; there is a wooden wall on the right",
    "a metal ball falls; one pillar can be seen in front; the camera pans left in the first shot",
    "a ball",
    "the guitar in a studio",
    "two things can be seen; a ball falls; a cube falls",
]


@pytest.mark.parametrize("sentence", SENTENCES)
def test_what_a_sentence_says_is_true_of_its_clip(sentence):
    for seed in range(3):
        clip, truth = render(said(sentence, SPEC, seed), SPEC)
        assert agree(facts_in(sentence), truth.facts), truth.facts
        assert clip.wave.abs().max() <= 1


def test_short_captions_of_the_world_are_sentences_that_make_such_a_clip():
    world = WorldDataset(replace(DIFFICULTIES["full"], spec=SPEC), seed=2)
    made = 0
    for index in range(40):
        caption = world[index][1].caption
        try:
            _, again = render(said(caption, SPEC), SPEC)
        except InputError as error:  # what physics decides, or too much on one side
            assert "leave it out" in str(error) or "overlap" in str(error), error
        else:
            made += 1
            assert agree(facts_in(caption), again.facts), caption
    assert made >= 30


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("a gong is struck", "unknown word 'gong'"),
        ("a bottle falls", "can be struck or left alone"),
        ("a ball is struck", "a ball can't be struck"),
        ("a red metal ball falls", "unknown colour 'red'"),
        ("a bell is struck 40 times", "the clip ends at 2 s"),
        ("a cello plays at 3 s", "the clip ends at 2 s"),
        ("a metal ball lands", "can't be read"),
        ("a metal ball falls and lands twice", "leave it out"),
        ("a ball and a cube collide", "leave it out"),
        ("in a cave", "says of no thing"),
        ("a wooden bell is struck", "a wood bell can't be struck"),
        ("off screen, a cello plays", "found a cello"),
        ("a ball falls onto stone; a cube falls onto grass", "a scene has one floor"),
        ("a ball falls; in the second shot the camera zooms in", "there are 1 shots"),
        ("a bell is struck once with unequal force", "of 1 strokes"),
        ("a violin falls", "a violin falls: it can't; its like plays, is held"),
        ("a cello is left alone", "a cello is left alone: it can't"),
        ("a ball plays", "a ball plays: it can't"),
        ("off screen, a ball is struck", "found a ball that is struck"),
        ("a bell is struck and makes no audio", "it can't in silence"),
        ("a ball falls; nothing makes a sound of its own", "nothing is to make a sound"),
        ("three things can be seen; a ball falls", "says that 3 things can be seen and names 1"),
        ("a ball falls; three pillars can be seen in front", "3 pillars; there is room for 2"),
        ("a ball falls; the frame cuts at 9 s", "the last cut would be at 9 s"),
        ("a bell is struck about 0 times a second", "0 strokes a second are none"),
        ("a bell is struck 1000000 times", "the clip ends at 2 s"),
    ],
)
def test_sentences_that_no_scene_fits(sentence, found):
    with pytest.raises(InputError) as error:
        said(sentence)
    assert found in str(error.value) and sentence in str(error.value) and "\n" not in str(error.value)
