"""ElevenLabs over a multi-context socket: one socket a call, one context an utterance (protocol: ``contexts``)."""

from __future__ import annotations

import asyncio
import audioop
from collections.abc import AsyncGenerator
from urllib.parse import quote

from sivo.base.errors import SivoError
from sivo.media.protocol import Stage
from sivo.outbound.client import GuardedClient, Limits
from sivo.outbound.failure import HandshakeRefused
from sivo.outbound.websocket import Socket, SocketClosed
from sivo.speech.alignment import Alignment
from sivo.speech.elevenlabs import FORMAT, closed_fault, http_fault, language_of, speaks_dialogue
from sivo.speech.elevenlabs_contexts import (
    Contexts,
    Dialect,
    Failed,
    Final,
    Result,
    Sound,
    TextToDialogue,
    TextToSpeech,
)
from sivo.speech.faults import ProviderError, explain

_LIMITS = Limits(connect=2.0, max_bytes=4 * 1024 * 1024)
_NEXT_BYTE_S = 3.0
#: A sixth context waits so long for one of the five to end; then it gets a socket of its own.
_FULL_S = 1.0
_KEEP_ALIVE_S = 15.0
#: The server's own limit for an idle socket, at its largest.
_INACTIVITY_S = 180


class ElevenLabsSocket:
    """One voice. ``first_byte_s`` bounds the wait for the first audio of an utterance, socket included."""

    def __init__(self, client: GuardedClient, stage: Stage, *, first_byte_s: float = 4.0) -> None:
        self._client = client
        self._stage = stage
        self._first_byte_s = first_byte_s
        self._line: _Line | None = None
        self._retired: set[_Line] = set()
        self._opening = asyncio.Lock()

    async def speak(self, text: str) -> AsyncGenerator[bytes | Alignment, None]:
        """See :class:`sivo.speech.tts.Synthesizer`."""
        begun = False
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._first_byte_s
        try:
            async with asyncio.timeout_at(deadline):
                line = await self._free_line()
                context = await line.say(text)
            try:
                while True:
                    async with asyncio.timeout_at(deadline):
                        result = await line.heard[context].get()
                    if isinstance(result, Failed):
                        raise result.fault
                    if isinstance(result, Final):
                        return
                    begun = True
                    deadline = loop.time() + _NEXT_BYTE_S
                    if result.alignment is not None:
                        yield result.alignment
                    yield audioop.ulaw2lin(result.ulaw, 2)
            finally:
                line.forget(context)
        except Exception as error:
            raise explain(error, streaming=begun) from error

    async def close(self) -> None:
        """Close the socket; what is being said on it ends."""
        lines, self._line = [*self._retired, *([self._line] if self._line else [])], None
        self._retired.clear()
        await asyncio.gather(*(line.close() for line in lines))

    async def _free_line(self) -> _Line:
        async with self._opening:
            line = self._line
            if line is not None and line.alive and not await line.room(_FULL_S):
                self._retired.add(line)  # it goes on with what it has to say
                line = None
            if line is None or not line.alive:
                line = self._line = await self._open()
            return line

    async def _open(self) -> _Line:
        stage = self._stage
        params = [("model_id", stage.model), ("output_format", FORMAT), ("sync_alignment", "true")]
        dialect: Dialect
        if speaks_dialogue(stage.model):
            path, dialect = "/v1/text-to-dialogue/multi-stream-input", TextToDialogue(stage.voice)
        else:
            path, dialect = f"/v1/text-to-speech/{quote(stage.voice, safe='')}/multi-stream-input", TextToSpeech()
            params += [("auto_mode", "true"), ("inactivity_timeout", str(_INACTIVITY_S))]
        language = language_of(stage.model, stage.language)
        params += [("language_code", language)] if language else []
        try:
            socket = await self._client.websocket(
                stage.base_url.rstrip("/") + path,
                headers={"xi-api-key": stage.api_key},
                params=params,
                limits=_LIMITS,
                internal=stage.internal,
            )
        except HandshakeRefused as error:
            raise http_fault(error.http_status, b"", stage.model) from error
        return _Line(socket, Contexts(dialect, stage.model), stage.model)


class _Line:
    """One open socket: what is said on it, and who listens to what comes back."""

    def __init__(self, socket: Socket, contexts: Contexts, model: str) -> None:
        self._socket = socket
        self._contexts = contexts
        self._model = model
        self.alive = True
        self.heard: dict[str, asyncio.Queue[Result]] = {}
        self._changed = asyncio.Event()
        self._fault: ProviderError | None = None
        self._tasks = [
            asyncio.create_task(self._listen(), name="elevenlabs-listen"),
            asyncio.create_task(self._keep_alive(), name="elevenlabs-alive"),
        ]

    async def room(self, seconds: float) -> bool:
        """Whether another context may be opened, waiting that long for one to end; a dead line has none."""
        try:
            async with asyncio.timeout(seconds):
                while self.alive and self._contexts.full:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return self.alive

    async def say(self, text: str) -> str:
        """Open a context that says ``text``."""
        context, messages = self._contexts.speak(text)
        self.heard[context] = asyncio.Queue()
        try:
            for message in messages:
                await self._socket.send(message)
        except SivoError as error:
            await asyncio.sleep(0)  # the listener may know why
            raise self._fault or explain(error) from error
        return context

    def forget(self, context: str) -> None:
        """Nobody listens to it any more."""
        self.heard.pop(context, None)
        self._contexts.forget(context)

    async def close(self) -> None:
        """End it."""
        self.alive = False
        for task in self._tasks:
            task.cancel()
        await self._socket.close()

    async def _listen(self) -> None:
        while True:
            message = await self._socket.receive()
            if isinstance(message, SocketClosed):
                streaming = any(True for _ in self.heard)
                self._end(closed_fault(message.code, message.reason, self._model, streaming=streaming))
                return
            for result in self._contexts.take(message):
                if isinstance(result, Failed) and not result.context:
                    self._end(result.fault)
                elif isinstance(result, Sound | Final | Failed) and result.context in self.heard:
                    self.heard[result.context].put_nowait(result)
            self._changed.set()

    def _end(self, fault: ProviderError) -> None:
        self.alive = False
        self._fault = fault
        for context, queue in self.heard.items():
            queue.put_nowait(Failed(context, fault))
        self._changed.set()

    async def _keep_alive(self) -> None:
        while self.alive:
            await asyncio.sleep(_KEEP_ALIVE_S)
            message = self._contexts.keep_alive()
            if message is None:
                continue
            try:
                await self._socket.send(message)
            except SivoError:
                return  # the listener says so to whom it matters
