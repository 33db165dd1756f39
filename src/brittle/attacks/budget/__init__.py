"""Attacks that do what they can within a budget, by gradients."""
