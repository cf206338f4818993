"""A loaded model: every direction from one checkpoint, and the stems of what it made."""
