"""The doubles' own door, ``/sim``: write scripts, read ledgers. No vendor has it, so no vendor's path is touched."""

from __future__ import annotations

from aiohttp import web
from pydantic import ValidationError

from sivo.simulators.script import Account, Script, World


def routes(world: World) -> list[web.RouteDef]:
    """``PUT /sim/accounts/{key}`` makes an account (or starts it anew) with a script; ``GET`` of ``/ledger`` below it
    gives what was asked."""

    async def put(request: web.Request) -> web.Response:
        try:
            script = Script.model_validate_json(await request.read() or b"{}")
        except ValidationError as error:
            return web.json_response({"errors": error.errors(include_url=False, include_context=False)}, status=422)
        world.make(request.match_info["key"], script)
        return web.json_response({"key": request.match_info["key"]})

    async def ledger(request: web.Request) -> web.Response:
        account: Account | None = world.accounts.get(request.match_info["key"])
        if account is None:
            return web.json_response({"errors": ["no such account"]}, status=404)
        return web.json_response({"entries": [entry.model_dump() for entry in account.ledger]})

    return [web.put("/sim/accounts/{key}", put), web.get("/sim/accounts/{key}/ledger", ledger)]
