"""Count and time every request."""

from __future__ import annotations

import time

from flask import Flask, Response, g, request

from service.process.counters import IN_FLIGHT, REQUEST_SECONDS, REQUESTS


def install(app: Flask) -> None:
    """Count each request of an application; call after `request_log.install`."""

    @app.before_request
    def begin() -> None:
        g.in_flight = True
        IN_FLIGHT.inc()

    @app.after_request
    def count(response: Response) -> Response:
        rule = request.url_rule
        route, method = (rule.rule, request.method) if rule else ("-", "-")
        REQUESTS.labels(method, route, str(response.status_code)).inc()
        REQUEST_SECONDS.labels(route, g.get("mode", "-")).observe(time.perf_counter() - g.started)
        return response

    @app.teardown_request
    def end(_: BaseException | None) -> None:
        if g.pop("in_flight", False):
            IN_FLIGHT.dec()
