"""Which requests are worked on: so many at a time, some more wait, and the rest hear 503 at once.

The body is read before a request asks for its turn, so that a slow client keeps no other waiting.
Health checks, metrics and fixed files need no turn: they are answered however busy the rest is.
docs/decisions/0060-service-limits.md says why.
"""

from __future__ import annotations

from flask import Flask, g, request

from service.guard import deadline
from service.guard.capacity import Room
from service.guard.uploads import receive
from service.process.counters import timed
from service.settings import Settings

_WITHOUT_TURN = frozenset({"health.livez", "health.readyz", "metrics.page", "static"})


def install(app: Flask, settings: Settings) -> None:
    """Let every request of an application wait for its turn; call after all that may refuse it."""
    turns = Room(settings.threads, most_waiting=settings.queue, name="queue")

    @app.before_request
    def begin() -> None:
        if request.endpoint in _WITHOUT_TURN:
            return
        if request.method == "POST" and request.routing_exception is None:
            receive(request)
        deadline.begin(settings.request_s)
        with timed("turn"):
            turns.enter(settings.wait_s)
        g.turns = turns

    @app.teardown_request
    def end(_: BaseException | None) -> None:
        if "turns" in g:
            g.pop("turns").leave()
