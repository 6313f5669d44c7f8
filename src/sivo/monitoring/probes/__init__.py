"""Probes of three planes that do the real thing: log in and read, register a phone, open the dashboard."""
