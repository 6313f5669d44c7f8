"""Bench of call set-ups beside peers."""
