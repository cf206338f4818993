"""A system and its data that train in a blink, for the tests of what surrounds every training."""
