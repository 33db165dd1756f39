"""Side-by-side timings and quality: ``make bench``, or ``python -m bench NAME`` for one row."""
