"""The application: its views, its guards in their order, and one form for every error."""

from __future__ import annotations

import logging
from typing import Any

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.middleware.proxy_fix import ProxyFix

from index.search.faiss_store import set_threads
from index.snapshot import DataFolder
from models.preprocess import Limits
from service.api import docs, health, metrics, routes
from service.context import KEY, Context
from service.errors import CLIENT_ERRORS, Failure, to_failure
from service.guard import (
    access,
    admission,
    cross_origin,
    prefix,
    rate_limit,
    security_headers,
    uploads,
)
from service.guard.access import Keys
from service.guard.rate_limit import RateLimit
from service.guard.shared_counts import SharedCounts
from service.images.decoding import Decoding
from service.process import compression, counters, request_counts, request_log, shared_folder
from service.route_table import path_is_for_programs
from service.schemas import Bounds
from service.settings import Settings
from service.snapshots import OpenEncoder, SnapshotHolder, open_encoder
from service.web import pages
from service.web.error_page import error_page


def make_app(settings: Settings, open_encoder_of: OpenEncoder | None = None) -> Flask:
    """Return the application.

    Parameters
    ----------
    settings : Settings
    open_encoder_of : callable, optional
        Opens the encoder of a snapshot. Default: run the snapshot's own file with LiteRT.
    """
    _log_to_stderr()
    set_threads(settings.search_threads)
    app = Flask(
        __name__,
        template_folder="web/templates",
        static_folder="web/static",
        static_url_path="/static",
    )
    uploads.install(app, settings.max_body_bytes)
    app.extensions[KEY] = _context(settings, open_encoder_of)
    for blueprint in (routes.bp, docs.bp, health.bp, metrics.bp, pages.bp):
        app.register_blueprint(blueprint)
    for kind in (*CLIENT_ERRORS, HTTPException):
        app.register_error_handler(kind, _answer_error)
    _install_guards(app, settings)
    compression.install(app)
    security_headers.install(app)
    return app


def _install_guards(app: Flask, settings: Settings) -> None:
    """Install what counts, refuses and limits requests, in the order in which it runs."""
    if settings.proxies:
        behind = ProxyFix(app.wsgi_app, x_for=settings.proxies, x_proto=0, x_host=0)
        app.wsgi_app = behind  # type: ignore[method-assign]
    request_log.install(app)
    request_counts.install(app)
    prefix.install(app, settings)
    if settings.cors_origins:
        cross_origin.install(app, settings.cors_origins)
    keys = Keys(settings.api_key)
    if settings.rate_limit:
        rate_limit.install(app, RateLimit(settings.rate_limit, _counts()), keys)
    if settings.api_key:
        access.install(app, keys)
    admission.install(app, settings)
    prefix.install_last(app, settings)


def _counts() -> SharedCounts:
    folder = shared_folder.shared()
    return SharedCounts(None if folder is None else folder / "rates.sqlite")


def _context(settings: Settings, open_encoder_of: OpenEncoder | None) -> Context:
    opens = open_encoder_of or open_encoder(settings.encoder_threads, settings.crop_search)
    holder = SnapshotHolder(
        DataFolder(settings.data), opens, settings.poll_s, counters.note_snapshot
    )
    holder.start()
    decoding = Decoding(
        Limits(settings.max_body_bytes, settings.max_pixels),
        settings.decodes,
        settings.pixels_at_a_time,
        settings.wait_s,
    )
    bounds = Bounds(settings.max_limit, settings.max_batch)
    return Context(holder, decoding, settings.images, bounds)


def _answer_error(error: Exception) -> Any:
    failure = to_failure(error)
    counters.REJECTED.labels(failure.reason).inc()
    if isinstance(error, RequestEntityTooLarge):
        uploads.read_away(request)
    if path_is_for_programs(request.path):
        return _error_json(failure)
    return error_page(failure)


def _error_json(failure: Failure) -> Response:
    response = jsonify(failure.body())
    response.status_code = failure.status
    response.headers.update(failure.headers)
    return response


def _log_to_stderr() -> None:
    """Show the log of this package, unless a handler exists; gunicorn shows only its own log."""
    logger = logging.getLogger(__package__)
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
