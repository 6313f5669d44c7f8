"""Faithful local doubles of the vendors that the platform speaks to. A product: anyone can try everything without an
account, and every test talks to the same doubles that the vendors' own SDKs agree with."""
