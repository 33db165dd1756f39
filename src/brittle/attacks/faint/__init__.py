"""Attacks that keep visibility small, not a norm."""
