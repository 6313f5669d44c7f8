"""pipecat as its documentation builds it: transport, Deepgram, aggregator, OpenAI, ElevenLabs, transport.

Its own Silero at 8 kHz with the same start and stop as ours; a turn ends when the speech-to-text has answered, with no
further wait (pipecat's own default, a turn model, costs 60 to 110 ms of a core a turn and is left out in its favour).
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import plan
from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.audio.vad.vad_analyzer import VADParams
from pipecat.frames.frames import InputAudioRawFrame, OutputAudioRawFrame, StartFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.services.deepgram.stt import DeepgramSTTService
from pipecat.services.elevenlabs.tts import ElevenLabsTTSService
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.workers.runner import WorkerRunner
from rtp_line import FRAME_S, RtpLine

_RATE = 8000


class _In(BaseInputTransport):
    def __init__(self, params: TransportParams) -> None:
        super().__init__(params)
        self._frames: asyncio.Queue[bytes] = asyncio.Queue()
        self._reader: Any = None

    def heard(self, pcm16: bytes) -> None:
        self._frames.put_nowait(pcm16)

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        self._reader = self.create_task(self._read())
        await self.set_transport_ready(frame)

    async def cleanup(self) -> None:
        if self._reader is not None:
            await self.cancel_task(self._reader)
        await super().cleanup()

    async def _read(self) -> None:
        while True:
            audio = await self._frames.get()
            await self.push_audio_frame(InputAudioRawFrame(audio=audio, sample_rate=_RATE, num_channels=1))


class _Out(BaseOutputTransport):
    """Paces on an absolute clock, as a phone line does."""

    def __init__(self, params: TransportParams) -> None:
        super().__init__(params)
        self.line: RtpLine | None = None
        self._due = 0.0

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        now = time.monotonic()
        self._due = max(self._due, now - FRAME_S)
        if self._due > now:
            await asyncio.sleep(self._due - now)
        if self.line is not None:
            self.line.send(frame.audio)
        self._due += FRAME_S
        return True


class Call:
    """One pipeline."""

    def __init__(self, line: RtpLine, worker: PipelineWorker, running: asyncio.Task[None]) -> None:
        self.line = line
        self._worker = worker
        self._running = running

    async def close(self) -> None:
        """Take it down."""
        await self._worker.cancel()
        await asyncio.wait({self._running}, timeout=5)
        self.line.close()


class House:
    """All pipelines of the process."""

    def __init__(self, vendors: str) -> None:
        self._vendors = vendors

    async def open(self, caller_port: int) -> Call:
        """A pipeline for one caller."""
        params = TransportParams(
            audio_in_enabled=True,
            audio_out_enabled=True,
            audio_in_sample_rate=_RATE,
            audio_out_sample_rate=_RATE,
            audio_out_10ms_chunks=2,
        )
        ear, mouth = _In(params), _Out(params)
        line = mouth.line = await RtpLine.open(caller_port, ear.heard)
        pipeline = self._pipeline(ear, mouth)
        worker = PipelineWorker(
            pipeline,
            params=PipelineParams(audio_in_sample_rate=_RATE, audio_out_sample_rate=_RATE),
            idle_timeout_secs=None,
        )
        started = asyncio.Event()

        @worker.event_handler("on_pipeline_started")
        async def _(*_: Any) -> None:
            started.set()

        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(worker)
        running = asyncio.create_task(runner.run())
        await asyncio.wait_for(started.wait(), 20)
        return Call(line, worker, running)

    def _pipeline(self, ear: _In, mouth: _Out) -> Pipeline:
        stt = DeepgramSTTService(
            api_key=plan.KEY,
            base_url=f"wss://{self._vendors}",
            sample_rate=_RATE,
            settings=DeepgramSTTService.Settings(model=plan.STT_MODEL, language="en"),
        )
        llm = OpenAILLMService(
            api_key=plan.KEY,
            base_url=f"https://{self._vendors}/v1",
            settings=OpenAILLMService.Settings(model=plan.LLM_MODEL),
        )
        tts = ElevenLabsTTSService(
            api_key=plan.KEY,
            url=f"wss://{self._vendors}",
            sample_rate=_RATE,
            settings=ElevenLabsTTSService.Settings(model=plan.TTS_MODEL, voice=plan.VOICE),
        )
        vad = SileroVADAnalyzer(
            sample_rate=_RATE,
            params=VADParams(start_secs=plan.VAD_START_MS / 1000, stop_secs=plan.VAD_STOP_MS / 1000),
        )
        turns = UserTurnStrategies(stop=[SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=0.0)])
        both = LLMContextAggregatorPair(
            LLMContext([{"role": "system", "content": plan.SYSTEM}]),
            user_params=LLMUserAggregatorParams(vad_analyzer=vad, user_turn_strategies=turns),
        )
        return Pipeline([ear, stt, both.user(), llm, tts, mouth, both.assistant()])


async def start(vendors: str) -> House:
    """``vendors``: host and port of the simulators."""
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    return House(vendors)
