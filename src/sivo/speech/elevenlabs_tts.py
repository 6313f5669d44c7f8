"""ElevenLabs as a synthesizer: the way that suits the model, and HTTP where a workspace may not use a socket."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from sivo.media.protocol import Stage
from sivo.outbound.client import GuardedClient
from sivo.speech.alignment import Alignment
from sivo.speech.elevenlabs_http import ElevenLabsHttp
from sivo.speech.elevenlabs_socket import ElevenLabsSocket
from sivo.speech.faults import ProviderError

#: The dialogue socket needs access that not every workspace has; over HTTP the same model is open to all. A refused
#: handshake gives no body, so only over HTTP does what is wrong get its name: a 401 is a wrong key or a spent quota.
_NO_SOCKET = (400, 401, 403, 404)


class ElevenLabsSynthesizer:
    """One voice of an ElevenLabs account."""

    def __init__(self, client: GuardedClient, stage: Stage, *, first_byte_s: float = 4.0) -> None:
        self._socket = ElevenLabsSocket(client, stage, first_byte_s=first_byte_s)
        self._http = ElevenLabsHttp(client, stage, idle_s=first_byte_s)
        self._over_http = False

    async def speak(self, text: str) -> AsyncGenerator[bytes | Alignment, None]:
        """See :class:`sivo.speech.tts.Synthesizer`."""
        if not self._over_http:
            try:
                async with aclosing(self._socket.speak(text)) as pieces:
                    async for piece in pieces:
                        yield piece
                return
            except ProviderError as error:
                # A status is the answer to the handshake: no text was sent yet.
                if error.status not in _NO_SOCKET:
                    raise
                self._over_http = True
        async with aclosing(self._http.speak(text)) as pieces:
            async for piece in pieces:
                yield piece

    async def close(self) -> None:
        """See :class:`sivo.speech.tts.Synthesizer`."""
        await self._socket.close()
