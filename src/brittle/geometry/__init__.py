"""Tensor maths only: norms and the pixel box. No model, no data, no I/O."""
