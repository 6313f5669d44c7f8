"""What is of the moment, to whoever looks on: never stored, never waited for."""
