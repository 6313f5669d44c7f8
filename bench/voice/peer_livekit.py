"""livekit-agents without a room or a server: ``AgentSession`` on its own audio input and output classes.

Its Deepgram, OpenAI and ElevenLabs plugins against the simulators, its own Silero with the same start and stop as ours;
a turn ends when the voice has ended and the text is there, with no further wait.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
import plan
from livekit import rtc
from livekit.agents import Agent, AgentSession, io
from livekit.plugins import deepgram, elevenlabs, openai, silero
from rtp_line import FRAME, FRAME_S, RtpLine

_RATE = 8000


class _In(io.AudioInput):
    def __init__(self) -> None:
        super().__init__(label="rtp")
        self._frames: asyncio.Queue[bytes] = asyncio.Queue()

    def heard(self, pcm16: bytes) -> None:
        self._frames.put_nowait(pcm16)

    async def __anext__(self) -> rtc.AudioFrame:
        return rtc.AudioFrame(await self._frames.get(), _RATE, 1, FRAME)


class _Out(io.AudioOutput):
    """Paces on an absolute clock, as a phone line does."""

    def __init__(self) -> None:
        super().__init__(label="rtp", capabilities=io.AudioOutputCapabilities(pause=False), sample_rate=_RATE)
        self.line: RtpLine | None = None
        self._audio = bytearray()
        self._flushed = False
        self._played = 0.0
        self._open = False
        self._more = asyncio.Event()
        self._task = asyncio.create_task(self._play())

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        self._open, self._flushed = True, False
        self._audio += bytes(frame.data)
        self._more.set()

    def flush(self) -> None:
        super().flush()
        self._flushed = True
        self._more.set()

    def clear_buffer(self) -> None:
        self._audio.clear()
        self._finish(interrupted=True)

    def close(self) -> None:
        self._task.cancel()

    def _finish(self, *, interrupted: bool) -> None:
        if self._open:
            self._open, self._flushed = False, False
            played, self._played = self._played, 0.0
            self.on_playback_finished(playback_position=played, interrupted=interrupted)

    async def _play(self) -> None:
        due = 0.0
        while True:
            whole = len(self._audio) >= 2 * FRAME
            if not whole and not (self._flushed and self._open):
                self._more.clear()
                await self._more.wait()
                continue
            if not self._audio:
                self._finish(interrupted=False)
                continue
            now = time.monotonic()
            due = max(due, now - FRAME_S)
            if due > now:
                await asyncio.sleep(due - now)
            piece = bytes(self._audio[: 2 * FRAME])
            if not piece:
                continue  # cleared while we slept
            del self._audio[: 2 * FRAME]
            if self.line is not None:
                self.line.send(piece)
            if not self._played:
                self.on_playback_started(created_at=time.time())
            self._played += FRAME_S
            due += FRAME_S


class Call:
    """One session."""

    def __init__(self, line: RtpLine, session: AgentSession[Any], mouth: _Out) -> None:
        self.line = line
        self._session = session
        self._mouth = mouth

    async def close(self) -> None:
        """Take it down."""
        await self._session.aclose()
        self._mouth.close()
        self.line.close()


class House:
    """All sessions of the process; they share one HTTP session and one loaded VAD, as a worker process would."""

    def __init__(self, vendors: str) -> None:
        self._vendors = vendors
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self._vad = silero.VAD.load(
            min_speech_duration=plan.VAD_START_MS / 1000,
            min_silence_duration=plan.VAD_STOP_MS / 1000,
            sample_rate=_RATE,
        )

    async def open(self, caller_port: int) -> Call:
        """A session for one caller."""
        ear, mouth = _In(), _Out()
        line = mouth.line = await RtpLine.open(caller_port, ear.heard)
        where, key = self._vendors, plan.KEY
        session: AgentSession[Any] = AgentSession(
            stt=deepgram.STT(
                model=plan.STT_MODEL,
                language="en",
                sample_rate=_RATE,
                api_key=key,
                base_url=f"https://{where}/v1/listen",
                http_session=self._http,
                filler_words=False,
            ),
            vad=self._vad,
            llm=openai.LLM(model=plan.LLM_MODEL, api_key=key, base_url=f"https://{where}/v1"),
            tts=elevenlabs.TTS(
                voice_id=plan.VOICE,
                model=plan.TTS_MODEL,
                encoding="pcm_8000",
                api_key=key,
                base_url=f"https://{where}/v1",
                http_session=self._http,
            ),
            turn_handling={
                "turn_detection": "vad",
                "endpointing": {"min_delay": 0.0, "max_delay": 1.0},
                "interruption": {"min_duration": 0.2},
            },
        )
        session.input.audio = ear
        session.output.audio = mouth
        await session.start(Agent(instructions=plan.SYSTEM), record=False)
        return Call(line, session, mouth)


async def start(vendors: str) -> House:
    """``vendors``: host and port of the simulators."""
    return House(vendors)
