"""Field types that several resource models share; the rules are those of the keys they stand beside."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, StringConstraints, WithJsonSchema

from sivo.config.types import Language, Url, ValueType

#: Digits of an extension (3 to 5), unique within a tenant.
ExtensionNumber = Annotated[str, StringConstraints(pattern=r"^[0-9]{3,5}$")]
#: An E.164 number with its plus sign (ITU-T E.164: at most 15 digits).
E164 = Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{6,14}$")]
#: A name that people read.
Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]


def _checked(kind: ValueType) -> Any:
    def check(value: str) -> str:
        return str(kind.check(value))

    return AfterValidator(check)


#: ISO 639-1 code.
LanguageCode = Annotated[str, _checked(Language()), WithJsonSchema(Language().schema())]
#: Absolute http(s) URL without credentials or fragment.
HttpUrl = Annotated[str, _checked(Url()), WithJsonSchema(Url().schema())]
