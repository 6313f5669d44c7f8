"""A phone call, as a back-to-back user agent with our media in the middle.

- ``state`` decides: a pure machine, ``inputs`` in, ``actions`` out; ``causes`` are the ways a call can end.
- ``call`` holds one call; ``effects`` carries its actions out over SIP (``legs``) and media (``media_link``).
- ``b2bua`` hands every SIP message to its call and makes new ones; ``answering_agent`` describes the conversation.
- ``records`` writes it all down behind the call; ``recovery`` finds what a killed process left; ``trace`` explains.
"""
