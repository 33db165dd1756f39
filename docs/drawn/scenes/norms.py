"""Balls of three norms, and the steepest step in each."""

import torch

from brittle.geometry.norms import L1, L2, LINF
from drawn.canvas import Canvas
from drawn.scene import scene


@scene
def balls() -> Canvas:
    """One gradient, and the unit step that climbs it fastest by each norm."""
    canvas = Canvas("balls", "Unit balls of L1, L2 and L-infinity, and the steepest step in each",
                    low=(-1.35, -1.35), high=(1.35, 1.35))  # fmt: skip
    gradient = torch.tensor([0.9, 0.42]).view(1, 1, 1, 2)
    canvas.path([(-1.35, 0.0), (1.35, 0.0)], kind="thin")
    canvas.path([(0.0, -1.35), (0.0, 1.35)], kind="thin")
    for norm, kind, label, side in ((L1, "c1", "L1", "below"), (L2, "c2", "L2", "right"), (LINF, "c3", "L∞", "above")):
        step = norm.steepest(gradient).flatten()
        canvas.ball(norm, (0.0, 0.0), 1.0, kind=f"ball {kind}")
        canvas.arrow((0.0, 0.0), step, kind=f"way {kind}")
        canvas.text(step, label, side=side)
    end = 0.55 * gradient.flatten()
    canvas.arrow((0.0, 0.0), end, kind="slope")
    canvas.text(end, "gradient", side="below")
    canvas.dot((0.0, 0.0), "x", kind="image", side="left")
    return canvas
