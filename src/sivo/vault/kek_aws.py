"""The key-encryption key in AWS KMS: it never leaves the service, each data key is wrapped and opened there.

``Encrypt`` and ``Decrypt`` of a symmetric key with an encryption context, so that a wrapped key that is moved to
another tenant's row does not open (https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html). Region,
credentials and endpoint come from where every AWS client takes them (``AWS_REGION``, ``AWS_ENDPOINT_URL_KMS``, …).

boto3 blocks, so requests run in threads of their own, few and bounded in time: a service that hangs holds up nobody
but those who ask for a key that is not open here yet.
"""

from __future__ import annotations

import asyncio
import importlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sivo.base.errors import SivoError
from sivo.vault.kek import KEK_AWAY, KEK_UNUSABLE

#: Seconds: to connect, to an answer, and for a request with its repetitions altogether.
CONNECT_S, READ_S, TOTAL_S = 2.0, 3.0, 8.0
_ATTEMPTS = 2
_THREADS = 4

#: Answers after which the same request may well succeed; everything else says that key, rights or data are wrong.
_PASSING = {"ThrottlingException", "KMSInternalException", "DependencyTimeoutException", "RequestTimeout"}


class AwsKek:
    """One symmetric KMS key, named by id or ARN (an alias could be pointed at another key behind our back)."""

    def __init__(self, key: str) -> None:
        if not key or key.startswith("alias/") or ":alias/" in key:
            raise SivoError(
                KEK_UNUSABLE,
                "a KMS key is named by its id or ARN, not by an alias, which can be pointed elsewhere",
                where="SIVO_KEK",
                remedy="SIVO_KEK=aws-kms:arn:aws:kms:<region>:<account>:key/<id>",
            )
        self._key = key
        self._boto = _boto3()
        self._client: Any = None
        self._making = threading.Lock()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="kms")

    @property
    def kek_id(self) -> str:
        return f"aws-kms:{self._key}"

    async def wrap(self, material: bytes, bound_to: str) -> bytes:
        answer = await self._ask(
            lambda kms: kms.encrypt(KeyId=self._key, Plaintext=material, EncryptionContext={"sivo": bound_to})
        )
        return bytes(answer["CiphertextBlob"])

    async def unwrap(self, wrapped: bytes, bound_to: str) -> bytes:
        answer = await self._ask(
            lambda kms: kms.decrypt(KeyId=self._key, CiphertextBlob=wrapped, EncryptionContext={"sivo": bound_to})
        )
        return bytes(answer["Plaintext"])

    def derive(self, purpose: str) -> None:
        return None

    async def _ask(self, request: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(TOTAL_S):
                return await loop.run_in_executor(self._threads, lambda: request(self._connected()))
        except TimeoutError:
            raise self._away("no answer in time") from None
        except Exception as error:
            raise self._named(error) from None

    def _connected(self) -> Any:
        """The client, made in a thread at the first use: loading its models takes a good part of a second."""
        with self._making:
            if self._client is None:
                config = importlib.import_module("botocore.config").Config(
                    connect_timeout=CONNECT_S, read_timeout=READ_S, retries={"total_max_attempts": _ATTEMPTS}
                )
                parts = self._key.split(":")
                region = parts[3] if self._key.startswith("arn:") and len(parts) > 3 else None
                self._client = self._boto.client("kms", region_name=region, config=config)
            return self._client

    def _named(self, error: Exception) -> SivoError:
        """What went wrong by its name in KMS; messages of the service may hold account ids and stay out."""
        response = getattr(error, "response", None)
        if not isinstance(response, dict):
            kind = type(error).__name__
            if kind in {"NoRegionError", "NoCredentialsError", "PartialCredentialsError", "ParamValidationError"}:
                return self._unusable(kind)
            return self._away(kind)
        code = str(response.get("Error", {}).get("Code", "unknown"))
        status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        return self._away(code) if code in _PASSING or status >= 500 else self._unusable(code)

    def _away(self, cause: str) -> SivoError:
        return SivoError(
            KEK_AWAY,
            f"AWS KMS does not answer: {cause}",
            where="key-encryption key",
            remedy="try again in a few seconds; keys that this process has open go on working",
        )

    def _unusable(self, cause: str) -> SivoError:
        return SivoError(
            KEK_UNUSABLE,
            f"AWS KMS refuses key {self._key}: {cause}",
            where="key-encryption key",
            remedy="check the key's id and state, the node's rights (kms:Encrypt, kms:Decrypt), region and credentials",
        )


def _boto3() -> Any:
    try:
        return importlib.import_module("boto3")
    except ImportError:
        raise SivoError(
            KEK_UNUSABLE,
            "a key in AWS KMS needs boto3, which is not installed",
            where="SIVO_KEK",
            remedy="install the extra `aws`: pip install 'sivo[aws]'",
        ) from None
