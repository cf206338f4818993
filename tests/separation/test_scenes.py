"""Scenes satisfy their constraints, are the same each time, and come back from their shards."""

from dataclasses import asdict

import numpy as np
import pytest
import torch

from avsim.clip import ClipSpec
from avsim.data.datamodule import stack
from avsim.data.shards import write_index
from avsim.errors import InputError
from avsim.seeds import generator
from avsim.separation import scenes as scenes_module
from avsim.separation.scenes import (
    CONSTRAINTS,
    TRAINING_SHARES,
    SavedScenes,
    Scenes,
    _in_turn,
    _listed,
    _Part,
    _render,
    save_scenes,
    sounding,
)
from avsim.world.flat.config import KINDS
from avsim.world.flat.scene import Hit, Scene, Stick, Target

SPEC = ClipSpec(2.0, 32, 32, 16.0, 8000, 2)
SHORT = ClipSpec(0.5, 32, 32, 16.0, 8000, 2)


@pytest.mark.parametrize("family", KINDS)
@pytest.mark.parametrize("name", CONSTRAINTS)
def test_scenes_satisfy_their_constraints(name, family):
    scenes, constraint = Scenes(constraints={name: 1.0}, families={family: 1.0}), CONSTRAINTS[name]
    for index in range(4):
        scene = scenes.scene(index, SPEC)
        kinds = sounding(scene, SPEC.seconds)
        if constraint.off_screen:
            beside = scene.bodies[-1]
            assert abs(beside.x) > 1.0
            kinds.pop(len(scene.bodies) - 1)
        heard = [kind for kind in kinds if kind is not None]
        assert constraint.things[0] <= len(kinds) <= constraint.things[1]
        assert constraint.sounding[0] <= len(heard) <= constraint.sounding[1]
        if constraint.alike is not None:
            assert (len(set(heard)) < len(heard)) == constraint.alike
        if name == "silent":
            assert len(heard) < len(kinds)


def test_what_is_said_to_sound_is_heard():
    """Bodies may be struck by others that fall, so what should be silent isn't labeled."""
    for family in ("strike", "ensemble"):
        scenes = Scenes(constraints={"two": 0.5, "silent": 0.5}, families={family: 1.0})
        for index in range(2):
            kinds = sounding(scenes.scene(index, SPEC), SPEC.seconds)
            stems = scenes.sample(index, SPEC, generator(0)).stems
            assert [kind is not None for kind in kinds] == [bool((stem.abs() > 1e-6).any()) for stem in stems]


def test_a_clip_is_a_function_of_seed_split_and_number():
    one, again = (Scenes(seed=5).sample(3, SHORT, generator(k)) for k in range(2))
    assert torch.equal(one.frames, again.frames) and torch.equal(one.stems, again.stems)
    for other in (Scenes(seed=6), Scenes(seed=5, split="test")):
        assert other.scene(3, SPEC) != Scenes(seed=5).scene(3, SPEC)


def test_held_out_players_have_the_other_bank():
    scenes = Scenes(split="held out", constraints={"two": 1.0}, families={"ensemble": 1.0})
    assert {player.bank for player in scenes.scene(0, SPEC).players} == {"modelled"}


def test_saved_scenes_are_those_that_were_rendered(tmp_path):
    sources = [Scenes(count=2, split="train"), Scenes(count=1, split="validation")]
    save_scenes(tmp_path, sources, SHORT)
    saved = SavedScenes(tmp_path, "train")
    assert len(saved) == 2 and len(SavedScenes(tmp_path, "validation")) == 1
    rendered = [sources[0].sample(index, SHORT, generator(0)) for index in range(2)]
    for index, there in enumerate(rendered):
        back = saved.sample(index, SHORT, generator(0))
        assert back.name == there.name == saved.group(index) and back.caption == there.caption
        for name, step in (
            ("frames", 1 / 255),
            ("masks", 1 / 255),
            ("wave", 1 / 32767),
            ("stems", 1 / 32767),
        ):
            assert torch.allclose(getattr(back, name), getattr(there, name), atol=0.51 * step), name
    batch = stack([saved.sample(index, SHORT, generator(0)) for index in range(2)], SHORT, torch.arange(2))
    assert batch.stems.shape[1] == batch.masks.shape[1] == max(len(each.stems) for each in rendered)
    shard = next((tmp_path / "shards").glob("train-*.safetensors"))
    before = shard.stat().st_mtime_ns
    save_scenes(tmp_path, sources, SHORT)  # nothing is rendered twice
    assert shard.stat().st_mtime_ns == before
    with pytest.raises(InputError, match="requested"):
        saved.sample(0, SPEC, generator(0))


def test_saved_scenes_grow_and_are_never_of_two_kinds(tmp_path, monkeypatch):
    monkeypatch.setattr(scenes_module, "PER_SHARD", 2)

    def saved(count: int, spec: ClipSpec = SHORT, **others) -> list[str]:
        save_scenes(tmp_path, [Scenes(count=count, **others)], spec)
        return [item["name"] for item in SavedScenes(tmp_path).items]

    assert saved(1) == ["scenes/train/0"]
    assert saved(3) == [f"scenes/train/{index}" for index in range(3)]  # the part that was short, too
    last = SavedScenes(tmp_path).sample(1, SHORT, generator(0))
    assert torch.allclose(last.wave, Scenes().sample(1, SHORT, generator(0)).wave, atol=1 / 32767)
    index = (tmp_path / "index.json").read_bytes()
    with pytest.raises(InputError, match="other settings .spec"):
        saved(3, SPEC)
    for name, value in (
        ("seed", 1),
        ("config", "easy"),
        ("constraints", {"one": 1.0}),
        ("families", {"drop": 1.0}),
    ):
        with pytest.raises(InputError, match="holds scenes rendered with other settings .train"):
            saved(3, **{name: value})
    assert (tmp_path / "index.json").read_bytes() == index


def test_unknown_wishes_and_those_that_no_scene_grants_are_refused():
    with pytest.raises(InputError, match="unknown constraint 'duet'"):
        Scenes(constraints={"duet": 1.0})
    with pytest.raises(InputError, match="unknown family 'opera'"):
        Scenes(families={"opera": 1.0})
    from dataclasses import replace

    from avsim.world import world_config

    solo = replace(world_config("medium"), instruments=("tuba",), places=("dry studio",))
    with pytest.raises(
        InputError, match="of 4000 scenes of the family 'ensemble' none meets the constraints 'two'"
    ):
        Scenes(solo, constraints={"two": 1.0}, families={"ensemble": 1.0}).scene(0, SPEC)


def test_shares_in_training_add_up_and_cover_all_constraints():
    assert set(TRAINING_SHARES) == set(CONSTRAINTS)
    assert sum(TRAINING_SHARES.values()) == pytest.approx(1)


@pytest.mark.parametrize(("gap", "kept"), [(0.5, 6), (0.41, 6), (0.3, 3), (0.16, 2)])
def test_strokes_in_turn_are_as_far_apart_as_the_stick_needs(gap, kept):
    hits = tuple(Hit(0.1 + gap * k) for k in range(6))
    targets = tuple(Target("bell", x=x) for x in (-0.4, 0.4))
    scene = _in_turn(Scene(stick=Stick(hits=hits), targets=targets), np.random.default_rng(0))
    assert len(scene.stick.hits) == kept
    assert np.diff([hit.seconds for hit in scene.stick.hits]).min() >= 0.4 - 1e-9
    first, second = (hit.target for hit in scene.stick.hits[:2])
    assert {first, second} == {0, 1}


def test_a_part_is_rendered_as_its_scenes_are(tmp_path):
    scenes = Scenes(constraints={"two": 1.0}, seed=5, count=2)
    (tmp_path / "shards").mkdir()
    part = _Part(scenes, 0, 2, tmp_path, SHORT)
    _render(part)
    listed = _listed(part)
    assert [(item["row"], item["regions"], item["split"]) for item in listed] == [
        (0, 2, "train"),
        (1, 2, "train"),
    ]
    write_index(tmp_path, "scenes", {"spec": asdict(SHORT)}, listed)
    saved = SavedScenes(tmp_path, "train")
    for index in range(2):
        one, again = (each.sample(index, SHORT, generator(0)) for each in (scenes, saved))
        assert (one.caption, one.name) == (again.caption, again.name)
        for name, step in (("frames", 1 / 255), ("wave", 2**-15), ("stems", 2**-15), ("masks", 1 / 255)):
            assert (getattr(one, name) - getattr(again, name)).abs().max() <= 0.51 * step + 1e-7, name
