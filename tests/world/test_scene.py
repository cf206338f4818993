"""Scenes are declared, checked, and go to plain data and back; random ones keep to their config."""

import json
from collections import Counter

import numpy as np
import pytest

from avsim import ClipSpec, InputError
from avsim.world import DIFFICULTIES, Scene, WorldConfig, WorldDataset, world_config
from avsim.world.flat.camera import Camera, Framing, Shot
from avsim.world.flat.random_scenes import draw_scene, is_held_out
from avsim.world.flat.scene import SHAPES, TARGETS, Body, Hit, Occluder, Player, Stick, Target, Wall
from avsim.world.materials import MATERIALS
from avsim.world.sound.phrases import INSTRUMENTS, held_out_classes
from avsim.world.sound.rooms import PLACES

FULL = DIFFICULTIES["full"]


def scenes(config, count, held_out=False):
    return [draw_scene(config, np.random.default_rng(k), held_out) for k in range(count)]


def combinations(scene):
    for body in scene.bodies:
        yield body.material, body.shape, scene.place
    for target in scene.targets:
        yield target.material, target.kind, scene.place
    for player in scene.players:
        yield "", player.instrument, scene.place


def test_plain_data_and_back_is_the_same_scene():
    for scene in scenes(FULL, 60):
        assert Scene.of(scene.plain()) == scene
        assert Scene.of(json.loads(json.dumps(scene.plain()))) == scene


def test_a_scene_by_hand():
    scene = Scene.of(
        {
            "place": "cave",
            "targets": [{"kind": "glass bottle", "colour": "blue"}],
            "stick": {"tip": "metal", "hits": [{"seconds": 0.8, "speed": 4}]},
        }
    )
    bottle = Target("glass bottle", "blue")
    assert scene == Scene(place="cave", targets=(bottle,), stick=Stick("metal", (Hit(0.8, 4.0),)))


def test_random_scenes_keep_to_their_config():
    config = WorldConfig(
        scenes=("drop",), things=(2, 3), materials=("glass",), shapes=("cube", "bar"), places=("cave",)
    )
    for scene in scenes(config, 50):
        assert 2 <= len(scene.bodies) <= 3 and scene.place == "cave"
        assert {body.material for body in scene.bodies} == {"glass"}
        assert {body.shape for body in scene.bodies} <= {"cube", "bar"}
        assert not scene.walls and not scene.occluders and scene.camera == Camera()


def test_the_levels_are_what_their_names_say():
    for scene in scenes(DIFFICULTIES["easy"], 100):
        assert len(scene.things) == 1 and not scene.players and scene.place == "dry studio"
        assert scene.camera == Camera() and not scene.occluders and not scene.walls
    medium = scenes(DIFFICULTIES["medium"], 200)
    assert {len(scene.things) for scene in medium} == {1, 2}
    assert len({scene.place for scene in medium}) == 4
    assert all(scene.camera == Camera() for scene in medium)
    full = scenes(FULL, 400)
    assert {scene.place for scene in full} == set(PLACES)
    assert {len(scene.camera.cuts) for scene in full} == {0, 1, 2}
    assert any(scene.occluders for scene in full) and any(scene.walls for scene in full)
    assert {player.instrument for scene in full for player in scene.players} == set(INSTRUMENTS)
    assert {target.kind for scene in full for target in scene.targets} == set(TARGETS)
    assert any(hit.miss for scene in full for hit in scene.stick.hits)
    silent = [scene for scene in full if scene.targets and len({h.target for h in scene.stick.hits}) == 1]
    assert any(len(scene.targets) > 1 for scene in silent)  # seen, but not struck


def test_held_out_combinations_are_a_latin_square():
    for shape in SHAPES:
        for place in PLACES:
            assert sum(is_held_out(material, shape, place) for material in MATERIALS) == 1
    for place in PLACES:
        assert sum(is_held_out(TARGETS[kind], kind, place) for kind in TARGETS) == 1
        assert sum(is_held_out("", instrument, place) for instrument in INSTRUMENTS) == 1
    for material in MATERIALS:
        assert 4 <= sum(is_held_out(material, shape, place) for shape in SHAPES for place in PLACES) <= 6


def test_only_the_held_out_split_has_them_and_always():
    seen = Counter()
    for scene in scenes(FULL, 200):
        assert not any(is_held_out(*each) for each in combinations(scene))
        seen.update(each[:2] for each in combinations(scene))
    for level in ("easy", "medium", "full"):
        for scene in scenes(DIFFICULTIES[level], 60, held_out=True):
            assert any(is_held_out(*each) for each in combinations(scene))
    assert {material for material, _ in seen} >= set(MATERIALS) and {shape for _, shape in seen} >= set(
        SHAPES
    )


def test_only_the_held_out_split_plays_its_bank_and_pitch_classes_and_nothing_else():
    for held_out, bank in ((False, "fluidr3"), (True, "modelled")):
        played = Counter()
        for scene in scenes(WorldConfig(scenes=("ensemble",), things=(1, 4), places=PLACES), 200, held_out):
            for player in scene.players:
                assert player.bank == bank
                kept_back = held_out_classes(player.instrument)
                assert all((note.pitch % 12 in kept_back) == held_out for note in player.notes)
                played[player.instrument] += len(player.notes)
        assert all(played[instrument] for instrument in INSTRUMENTS)


def test_a_camera_is_still_pans_zooms_and_cuts():
    camera = Camera((Shot(0.0, Framing(x=0.0), Framing(x=0.4)), Shot(1.0, Framing(height=1.0))))
    x, y, height = camera.path(np.array([0.0, 0.5, 0.999999, 1.0, 1.9]), 2.0).T
    assert x == pytest.approx([0.0, 0.2, 0.4, 0.0, 0.0], abs=1e-5)
    assert height.tolist() == [2.0, 2.0, 2.0, 1.0, 1.0] and set(y) == {0.75}
    assert camera.cuts == (1.0,)
    view = camera.view(ClipSpec())
    assert len(view.x) == 32 and view.height[15] == 2.0 and view.height[16] == 1.0


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda: Body("egg"), "egg"),
        (lambda: Body(material="cheese"), "cheese"),
        (lambda: Body(colour="gray"), "gray"),
        (lambda: Body(release=-1.0), "release is -1 s; expected 0 or more"),
        (lambda: Body(size=9.0), "size is 9 m"),
        (lambda: Body(height=float("nan")), "height is nan"),
        (lambda: Target("gong"), "gong"),
        (lambda: Hit(-0.5), "seconds is -0.5"),
        (lambda: Hit(0.5, speed=90.0), "speed is 90 m/s"),
        (lambda: Stick("glass"), "glass"),
        (lambda: Stick(hits=(Hit(0.5), Hit(0.4))), "[0.5, 0.4]"),
        (lambda: Player("kazoo"), "kazoo"),
        (lambda: Wall(0.0), "x is 0"),
        (lambda: Occluder(0.0, width=5.0), "width is 5 m"),
        (lambda: Scene(place="moon"), "moon"),
        (lambda: Scene(floor="lava"), "lava"),
        (lambda: Scene(bodies=(Body(), Body("cube", "wood", x=0.1))), "overlap by"),
        (lambda: Scene(bodies=(Body(x=0.9),), walls=(Wall(1.0),)), "in the wall"),
        (lambda: Scene(bodies=tuple(Body(x=k - 4.0) for k in range(9))), "9 things"),
        (lambda: Scene(stick=Stick(hits=(Hit(0.5),))), "target 0; there are 0"),
        (lambda: Camera(()), "[]"),
        (lambda: Camera((Shot(0.5),)), "[0.5]"),
        (lambda: Framing(height=99.0), "height is 99 m"),
        (lambda: Scene.of({"palce": "cave"}), "palce"),
        (lambda: Scene.of({"players": [{}]}), "scene.players[0]: instrument is missing"),
        (lambda: Scene.of({"bodies": [{"x": "left"}]}), "scene.bodies[0].x: found 'left'; expected float"),
        (lambda: Scene.of({"bodies": "ball"}), "expected a list"),
        (lambda: WorldDataset("hard"), "hard"),
        (lambda: WorldDataset(split="dev"), "dev"),
        (lambda: WorldConfig(scenes=("opera",)), "opera"),
        (lambda: WorldConfig(things=(0, 1)), "0 to 1"),
        (lambda: WorldConfig(things=(1, 9)), "1 to 9"),
        (lambda: WorldConfig(materials=("cheese",)), "cheese"),
        (lambda: WorldConfig(materials=()), "empty"),
        (lambda: WorldConfig(places=("moon",)), "moon"),
        (lambda: WorldConfig(off_screen=1.5), "off_screen is 1.5"),
        (lambda: WorldConfig(ambience=30.0), "30 dB"),
        (lambda: WorldConfig(spec=ClipSpec(height=8)), "height is 8"),
        (lambda: WorldConfig(spec=ClipSpec(height=64, width=512)), "width / height is 8"),
        (lambda: WorldConfig(spec=ClipSpec(channels=6)), "channels is 6"),
        (lambda: WorldConfig(spec=ClipSpec(sample_rate=100)), "sample_rate is 100"),
        (lambda: WorldConfig(spec=ClipSpec(frames_per_second=99)), "frames_per_second is 99"),
        (lambda: WorldConfig(spec=ClipSpec(seconds=900)), "seconds is 900"),
        (
            lambda: WorldDataset(
                WorldConfig(scenes=("drop",), shapes=("ball",), materials=("wood",)), split="held out"
            ),
            "nothing that it allows is held out",
        ),
    ],
)
def test_mistakes_are_one_clear_line(make, found):
    with pytest.raises(InputError) as error:
        make()
    assert found in str(error.value) and "\n" not in str(error.value)


def test_a_config_is_itself():
    config = WorldConfig(things=(2, 2))
    assert world_config(config) is config and world_config("easy") == WorldConfig()
