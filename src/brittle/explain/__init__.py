"""What goes on inside a network, and how far it can be trusted: pure functions, which studies and commands ask."""
