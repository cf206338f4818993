"""The places' rooms, as impulse responses of their reverberation."""

PLACES = ("restaurant", "space station", "national park", "concert hall", "cave", "dry studio")

# Stated reverberation times in s; none: no reverberation.
RT60 = {
    "restaurant": 0.6,
    "space station": 1.1,
    "national park": 0.0,
    "concert hall": 2.0,
    "cave": 3.2,
    "dry studio": 0.2,
}
