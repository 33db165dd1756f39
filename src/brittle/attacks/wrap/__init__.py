"""Attacks around other attacks."""
