"""What every page is made of: one look, one way to write HTML, to draw a change, and to say a number."""
