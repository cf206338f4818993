"""Players: each note moves its player's parts and sounds from the player's position."""

from avsim.clip import ClipSpec
from avsim.world.flat.actor import Actor, Sound
from avsim.world.flat.players import player
from avsim.world.flat.scene import Scene
from avsim.world.sound.notes import sounded

MIDDLE = 0.8  # m, height of an instrument of usual size


def ensemble(scene: Scene, spec: ClipSpec, first: int) -> list[Actor]:
    """The scene's players with their notes, their owners counted from `first`."""
    seconds, end = spec.frame_seconds().numpy(), spec.end
    actors = []
    for number, each in enumerate(scene.players):
        looks = scene.random("player", number)
        parts = player(each.instrument, each.x, each.notes, seconds, first + number, looks, each.size)
        notes = tuple(note for note in each.notes if note.seconds < end)
        sounds = [
            Sound(
                note.seconds,
                sounded(each.instrument, note, spec.sample_rate, each.bank),
                each.x,
                MIDDLE * each.size,
            )
            for note in notes
        ]
        actors.append(Actor(parts, tuple(sounds), notes=notes))
    return actors
