"""What a form sends, and what is kept of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, EmailStr, Field, StringConstraints

from sivo.identity.bodies import Strict
from sivo.routing.numbers import display

#: Text of one line; trimmed.
OneLine = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=200, pattern=r"^[^\x00-\x1f\x7f\u2028\u2029]*$")
]
Slug = Annotated[str, StringConstraints(max_length=63)]


def _phone(value: str) -> str:
    """E.164 where the country is given (``+`` or ``00``); else what was typed, without separators."""
    return display(value) if any(char.isdigit() for char in value) else ""


def _without_nul(value: str) -> str:
    if "\x00" in value:  # no text of PostgreSQL holds it
        raise ValueError("text with a NUL character in it")
    return value


class LeadBody(Strict):
    """Body of POST /api/public/leads. ``tenant`` is a slug; without it the host of the tenant's console decides.

    ``consent`` must be true; ``consent_version`` names the text that the person agreed to. ``website`` is a trap:
    people do not see it, and whoever fills it in is no person.
    """

    tenant: Slug = ""
    name: Annotated[OneLine, Field(min_length=1)]
    email: Annotated[EmailStr, Field(max_length=254)]
    phone: Annotated[OneLine, Field(max_length=40), AfterValidator(_phone)] = ""
    company: OneLine = ""
    message: Annotated[str, Field(max_length=5000), AfterValidator(_without_nul)] = ""
    locale: Literal["es", "en", "de", "fr", "it", "pt"] | None = None
    consent: Literal[True]
    consent_version: Annotated[OneLine, Field(min_length=1, max_length=60)]
    source: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$")] = "website"
    website: Annotated[str, Field(max_length=2000)] = ""

    def person(self) -> dict[str, str]:
        """What is sealed: who it is and what they wrote."""
        return {
            "name": self.name,
            "email": self.email,
            "phone": self.phone,
            "company": self.company,
            "message": self.message,
        }


class LeadAnswer(Strict):
    """A lead on the wire."""

    id: UUID
    name: str
    email: str
    phone: str
    company: str
    message: str
    source: str
    locale: str
    consent_at: datetime
    consent_version: str
    created_at: datetime
    expires_at: datetime


def answer(row: dict[str, Any], person: dict[str, str]) -> LeadAnswer:
    """From a row and what was sealed in it."""
    return LeadAnswer.model_validate({**person, **{name: value for name, value in row.items() if name != "sealed"}})
