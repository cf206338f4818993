"""Small detectors of things, events and sounds, which judges and the separator share."""
