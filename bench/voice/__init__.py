"""Voice to voice and calls per core, beside pipecat and livekit-agents. Method: README.md in this folder."""
