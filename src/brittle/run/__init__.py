"""The only room that loops over data and writes to disk."""
