"""Request slots: how many requests are processed at a time, and how many wait for a slot.

All others get 503 at once. The body is read before a request takes a slot, so that a slow client
keeps no other request waiting. Health checks, metrics and static files need no slot: they are
answered however busy the service is. docs/decisions/0060-service-limits.md gives the reasons.
"""

from __future__ import annotations

from flask import Flask, g, request

from service.guard import deadline
from service.guard.capacity import Capacity
from service.guard.uploads import receive
from service.process.counters import timed
from service.route_table import route_of
from service.settings import Settings


def install(app: Flask, settings: Settings) -> None:
    """Make every request of an application wait for a slot; call after all that may refuse it."""
    slots = Capacity(settings.threads, most_waiting=settings.queue, name="queue")

    @app.before_request
    def begin() -> None:
        if not route_of(request.endpoint).needs_slot:
            return
        if request.method == "POST" and request.routing_exception is None:
            receive(request)
        deadline.begin(settings.request_s)
        with timed("slot"):
            slots.acquire(settings.wait_s)
        g.slots = slots

    @app.teardown_request
    def end(_: BaseException | None) -> None:
        if "slots" in g:
            g.pop("slots").release()
