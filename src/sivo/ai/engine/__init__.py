"""The turn engine of a conversation, sans I/O."""

from sivo.ai.engine.engine import Engine as Engine
from sivo.ai.engine.states import State as State
