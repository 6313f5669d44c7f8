"""Signing in honestly: password, and a security key where the platform asks for one. For tests and scripts alike."""

from __future__ import annotations

from typing import Any

import httpx

from support.authenticator import Authenticator


class SignIn:
    """Finishes logins; remembers a security key per e-mail address, enrolled the first time one is demanded."""

    def __init__(self) -> None:
        self.keys: dict[str, Authenticator] = {}

    async def finish(self, client: httpx.AsyncClient, email: str, answer: httpx.Response) -> httpx.Response:
        """What the login ends with: ``answer`` itself when no second factor is due."""
        body: dict[str, Any] = answer.json() if answer.is_success else {}
        if "mfa_token" not in body:
            return answer
        headers = {"Authorization": f"Bearer {body['mfa_token']}"}
        if body["enrolment_required"]:
            options = await client.post("/api/auth/mfa/enrol/webauthn/options", headers=headers)
            assert options.status_code == 200, options.text
            key = self.keys[email] = Authenticator()
            sent = {"credential": key.create(options.json()), "name": "test key"}
            return await client.post("/api/auth/mfa/enrol/webauthn", json=sent, headers=headers)
        options = await client.post("/api/auth/mfa/webauthn/options", headers=headers)
        assert options.status_code == 200, options.text
        credential = self.keys[email].get(options.json())
        return await client.post("/api/auth/mfa", json={"credential": credential}, headers=headers)
