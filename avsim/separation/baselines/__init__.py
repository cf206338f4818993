"""What others did, to compare with: The Sound of Pixels, and non-negative matrix factorisation."""
