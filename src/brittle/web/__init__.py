"""A page that holds a small network and attacks it where it is read: no Python, no server, no network."""
