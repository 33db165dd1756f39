"""From a photograph and a wish to noise that nobody sees, and the numbers that say how visible it is."""
