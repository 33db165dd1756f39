"""One file for the pictures of one idea; an import here makes them known."""

from drawn.scenes import budget, decisions, nearest, norms, pixels, planes, proofs, universal

__all__ = ["budget", "decisions", "nearest", "norms", "pixels", "planes", "proofs", "universal"]
