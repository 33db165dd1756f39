"""One perturbation for many images: what fits it, and what adds it."""
