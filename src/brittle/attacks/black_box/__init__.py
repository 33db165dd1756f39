"""Attacks that see scores or decisions, and no gradients."""
