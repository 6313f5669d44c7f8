"""Sessions of browsers: the refresh token stands in a cookie that no script can read, the access token in memory only.

A browser client asks for it with the header ``X-Sivo-Session: cookie`` on login, second factor, refresh and sign-out.
The cookie has the prefix ``__Host-`` (RFC 6265bis §4.1.3.2: Secure, Path=/, no Domain), HttpOnly and SameSite=Strict.

The rule against cross-site requests: the cookie is believed only beside that header, which no form and no image can
send and which a script of another origin could only send after a preflight that this API never grants; and where the
browser says where the request comes from (``Origin``, ``Sec-Fetch-Site``), it must be this very host. Nothing but the
refresh token is ever read from a cookie.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import Request, Response

from sivo.base.errors import SivoError, register
from sivo.identity.bodies import TokenAnswer
from sivo.identity.refresh import MAX_LENGTH, refusal

CROSS_SITE_REFUSED = register("CROSS_SITE_REFUSED", 403)
HEADER = "x-sivo-session"
COOKIE = "__Host-sivo_refresh"


def uses_cookie(request: Request) -> bool:
    """Whether the client keeps its refresh token in a cookie. Raises CROSS_SITE_REFUSED for another site's request."""
    if request.headers.get(HEADER) != "cookie":
        return False
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site", "same-origin")
    own = request.headers.get("host", "").lower()
    if site not in ("same-origin", "none") or (origin is not None and urlsplit(origin).netloc.lower() != own):
        raise SivoError(
            CROSS_SITE_REFUSED,
            "a browser sent this from the page of another site",
            where="header Origin",
            remedy="use the console at this host, or send the refresh token in the body",
        )
    return True


def answer(request: Request, response: Response, tokens: TokenAnswer) -> TokenAnswer:
    """The answer as the client wants it: with the refresh token in the body, or in the cookie."""
    if not uses_cookie(request):
        return tokens
    assert tokens.refresh_token is not None
    response.set_cookie(
        COOKIE,
        tokens.refresh_token,
        max_age=tokens.refresh_expires_in,
        path="/",
        secure=True,
        httponly=True,
        samesite="strict",
    )
    return tokens.model_copy(update={"refresh_token": None})


def presented(request: Request, in_body: str | None) -> str:
    """The refresh token of a request. Raises REFRESH_REFUSED without one."""
    token = in_body
    if token is None and uses_cookie(request):
        token = request.cookies.get(COOKIE)
    if not token or len(token) > MAX_LENGTH:
        raise refusal()
    return token


def forget(request: Request, response: Response) -> None:
    """Take the cookie away at sign-out."""
    if uses_cookie(request):
        response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="strict")
