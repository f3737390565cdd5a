"""The prefix: the path below which a proxy shows the service, such as /look.

WSGI passes it as SCRIPT_NAME, and Flask begins every address with it. It comes from the setting, or
else from `X-Forwarded-Prefix` of trusted proxies. Only the setting changes the path of a request.
docs/decisions/0061-prefix.md gives the reasons.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import Flask, redirect, request
from werkzeug.exceptions import NotFound
from werkzeug.routing import RequestRedirect
from werkzeug.wrappers import Response as BaseResponse

from service.errors import InvalidPrefix, KeptPrefix
from service.settings import Settings, read_prefix

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_HEADER = "HTTP_X_FORWARDED_PREFIX"
_REFUSED = "lookalike.refused_prefix"


def install(app: Flask, settings: Settings) -> None:
    """Give an application its prefix; call before any guard that may refuse a request."""
    if settings.prefix:
        app.wsgi_app = _Fixed(app.wsgi_app, settings.prefix)  # type: ignore[method-assign]
    elif settings.proxies:
        app.wsgi_app = _Forwarded(app.wsgi_app, settings.proxies)  # type: ignore[method-assign]
        app.before_request(_refuse)


def install_last(app: Flask, settings: Settings) -> None:
    """Redirect to corrected addresses, and explain some 404s; call after all guards."""
    app.before_request(_correct)
    if not settings.prefix:
        app.before_request(_explain)


class _Fixed:
    """Remove the prefix of the settings from every path that begins with it."""

    def __init__(self, app: WSGIApplication, prefix: str) -> None:
        self._app, self._prefix = app, prefix

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["SCRIPT_NAME"] = self._prefix
        if _is_below(environ["PATH_INFO"], self._prefix):
            environ["PATH_INFO"] = environ["PATH_INFO"][len(self._prefix) :]
        return self._app(environ, start_response)


class _Forwarded:
    """Believe the last proxies; one after the other, each adds the part that it has removed."""

    def __init__(self, app: WSGIApplication, n_proxies: int) -> None:
        self._app, self._n_proxies = app, n_proxies

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if header := environ.get(_HEADER):
            values = [value.strip() for value in header.split(",")]
            try:
                parts = [read_prefix(value) for value in values[-self._n_proxies :] if value]
                environ["SCRIPT_NAME"] = "".join(parts)
            except ValueError:
                environ[_REFUSED] = True
        return self._app(environ, start_response)


def _refuse() -> None:
    if _REFUSED in request.environ:
        raise InvalidPrefix(
            "the header X-Forwarded-Prefix is not a path such as /look: correct it in the proxy"
        )


def _correct() -> BaseResponse | None:
    """Redirect to a path: the host and the scheme that the client knows may not be known here."""
    error = request.routing_exception
    if not isinstance(error, RequestRedirect):
        return None
    target = urlsplit(error.new_url)._replace(scheme="", netloc="")
    return redirect(target.geturl(), error.code)


def _explain() -> None:
    prefix = request.script_root
    not_found = isinstance(request.routing_exception, NotFound)
    if prefix and not_found and _is_below(request.path, prefix):
        raise KeptPrefix(
            f"the proxy has sent the prefix {prefix} and kept it in the path: let the proxy "
            f"remove it, or set `LOOKALIKE_PREFIX={prefix}` on the server"
        )


def _is_below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix + "/")
