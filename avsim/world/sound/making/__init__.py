"""What made the files that the world carries with it; never needed to run it."""
