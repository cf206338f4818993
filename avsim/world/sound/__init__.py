"""The audio of worlds, shared by all renderers: impacts, notes, rooms, ambience, the way to the listener."""
