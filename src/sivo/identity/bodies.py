"""Bodies and answers of the routes of room ``identity``."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from sivo.identity.finishing import Finished
from sivo.identity.grants import Granted
from sivo.identity.login import PendingFactor
from sivo.identity.passwords import MAX_LENGTH
from sivo.identity.refresh import MAX_LENGTH as MAX_REFRESH_LENGTH
from sivo.identity.second_factor import Proof

#: One line that a person reads.
Line = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=500)]
FactorName = Annotated[Line, Field(min_length=1, max_length=60)]


class Strict(BaseModel):
    """A body without surprises: no unknown fields, no text that has no UTF-8 form (JSON can hold lone surrogates)."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _encodable(cls, data: Any) -> Any:
        for value in data.values() if isinstance(data, dict) else ():
            if isinstance(value, str) and any("\ud800" <= char <= "\udfff" for char in value):
                raise ValueError("text with half a character in it")
        return data


class LoginBody(Strict):
    """Body of POST /api/auth/login. ``tenant`` is a slug; without it the host or the e-mail address decides."""

    email: Annotated[str, Field(min_length=3, max_length=254)]
    password: Annotated[SecretStr, Field(min_length=1, max_length=MAX_LENGTH)]
    tenant: Annotated[str, Field(max_length=63)] = ""


class RefreshBody(Strict):
    """Body of POST /api/auth/refresh. A browser's token stands in its cookie instead."""

    refresh_token: Annotated[SecretStr, Field(min_length=1, max_length=MAX_REFRESH_LENGTH)] | None = None


class PasswordBody(Strict):
    """Body of POST /api/users/{id}/password."""

    password: SecretStr


class OwnPasswordBody(Strict):
    """Body of POST /api/me/password."""

    current: Annotated[SecretStr, Field(min_length=1, max_length=MAX_LENGTH)]
    password: SecretStr


class ProofBody(Strict):
    """A second factor: exactly one of the three. ``credential`` is what ``navigator.credentials.get`` returned."""

    code: Annotated[str, Field(max_length=10)] | None = None
    recovery_code: Annotated[SecretStr, Field(max_length=40)] | None = None
    credential: dict[str, Any] | None = None

    def proof(self) -> Proof:
        """As the room takes it."""
        recovery = self.recovery_code.get_secret_value() if self.recovery_code else None
        return Proof(self.code, recovery, self.credential)


class StepUpBody(ProofBody):
    """Body of POST /api/auth/step-up: a factor, or the password for who has none; ``ceremony`` with a credential."""

    password: Annotated[SecretStr, Field(max_length=MAX_LENGTH)] | None = None
    ceremony: str | None = None


class EnrolBody(Strict):
    """What a new factor is called."""

    name: FactorName = "authenticator"


class CodeBody(Strict):
    """The code that an authenticator app shows."""

    code: Annotated[str, Field(max_length=10)]


class CredentialBody(Strict):
    """What ``navigator.credentials.create`` returned; ``ceremony`` as the options said (not while signing in)."""

    credential: dict[str, Any]
    name: FactorName = "security key"
    ceremony: str | None = None


class TokenAnswer(BaseModel):
    """Tokens of a session; lives in seconds. Recovery codes are there when the first second factor was enrolled.

    A browser that sent ``X-Sivo-Session: cookie`` finds the refresh token in a cookie, not here.
    """

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - the scheme's name
    expires_in: int
    refresh_token: str | None = None
    refresh_expires_in: int
    recovery_codes: list[str] | None = None


class MfaAnswer(BaseModel):
    """The password was right, the login is not finished. ``mfa_token`` goes to the routes below /api/auth/mfa.

    Without ``methods`` a factor must be enrolled first.
    """

    mfa_token: str
    expires_in: int
    methods: list[str]
    enrolment_required: bool


def tokens(granted: Granted, recovery_codes: tuple[str, ...] = ()) -> TokenAnswer:
    """A session on the wire."""
    return TokenAnswer(
        access_token=granted.access_token,
        expires_in=granted.expires_in,
        refresh_token=granted.refresh_token,
        refresh_expires_in=granted.refresh_expires_in,
        recovery_codes=list(recovery_codes) or None,
    )


def finished(outcome: Finished) -> TokenAnswer:
    """A login that a second factor finished."""
    return tokens(outcome.granted, outcome.recovery_codes)


def login_answer(outcome: Granted | PendingFactor) -> TokenAnswer | MfaAnswer:
    """Either end of POST /api/auth/login."""
    if isinstance(outcome, Granted):
        return tokens(outcome)
    return MfaAnswer(
        mfa_token=outcome.token,
        expires_in=outcome.expires_in,
        methods=list(outcome.methods),
        enrolment_required=not outcome.methods,
    )
