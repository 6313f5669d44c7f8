"""Routes of room ``identity``, in the order of the API's document."""

from __future__ import annotations

from fastapi import APIRouter

from sivo.identity import colleague_routes, login_routes, operator_routes, people_routes, phone_routes, session_routes
from sivo.identity.service import Identity


def make_router(identity: Identity) -> APIRouter:
    """All routes of the room."""
    router = APIRouter(tags=["identity"])
    for part in (login_routes, session_routes, phone_routes, people_routes, colleague_routes, operator_routes):
        part.add(router, identity)
    return router
