"""Settings of the service: one table, read once from the environment.

Nothing below `create_app` and gunicorn.conf.py reads the environment.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from service.errors import SettingsError

PREFIX = "LOOKALIKE_"
_MOST_WORKERS = 4


def _number(kind: type[int] | type[float], least: float) -> Callable[[str], Any]:
    def read(text: str) -> int | float:
        value = kind(text)
        if not least <= value < float("inf"):
            raise ValueError(f"at least {least}")
        return value

    kind_name = "a whole number" if kind is int else "a number"
    read.__doc__ = f"{kind_name}, {least} or more"
    return read


def _path(text: str) -> Path:
    """A folder."""  # noqa: D401 - said to a user: "... must be a folder"
    if not text:
        raise ValueError("empty")
    return Path(text)


def _port(text: str) -> int:
    """A port, 1 to 65535."""  # noqa: D401 - as above
    value = int(text)
    if not 1 <= value <= 65535:
        raise ValueError(text)
    return value


def _keys(text: str) -> tuple[str, ...]:
    """One or more texts, with commas between."""  # noqa: D401 - as above
    keys = tuple(key.strip() for key in text.split(",") if key.strip())
    if not keys:
        raise ValueError("no key")
    return keys


def _rate(text: str) -> str:
    """A rate such as 60/minute, or several with semicolons between."""  # noqa: D401 - as above
    from limits import parse_many  # slow to import, and seldom wanted

    parse_many(text)  # ValueError if it is none
    return text


def _origins(text: str) -> tuple[str, ...]:
    """Origins such as https://example.org with commas between, or *."""  # noqa: D401 - as above
    origins = tuple(origin.strip() for origin in text.split(",") if origin.strip())
    for origin in origins:
        parts = urlsplit(origin)
        if origin not in ("*", f"{parts.scheme}://{parts.netloc}") or origin == "://":
            raise ValueError(origin)
    return origins


def _switch(text: str) -> bool:
    """On or off."""  # noqa: D401 - as above
    if text not in ("on", "off"):
        raise ValueError(text)
    return text == "on"


def _workers() -> int:
    """Return how many processes suit this machine."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    n_cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(n_cores, _MOST_WORKERS)


def _setting(
    default: Any,
    read: Callable[[str], Any],
    unit: str,
    help_: str,
    default_text: str | None = None,
    secret: bool = False,
) -> Any:
    """Describe one line of the table."""
    metadata = {"read": read, "unit": unit, "help": help_, "default_text": default_text}
    if callable(default):
        return dataclasses.field(default_factory=default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata, repr=not secret)


@dataclass(frozen=True)
class Settings:
    """What the service is asked for; `markdown_table` describes each field.

    Every field is set by LOOKALIKE_ and its name in capitals, but `port`, which is set by PORT.
    """

    data: Path = _setting(Path("data"), _path, "folder", "What the indexer has made.")
    images: Path | None = _setting(
        None,
        _path,
        "folder",
        "Where the original pictures lie now, if they have been moved since they were indexed.",
        "as indexed",
    )
    api_key: tuple[str, ...] = _setting(
        (),
        _keys,
        "texts",
        "Keys, with commas between; every route but `/livez` and `/readyz` then asks for one.",
        "none: open to all",
        secret=True,
    )
    rate_limit: str | None = _setting(
        None,
        _rate,
        "rate",
        "How much one client may ask, by its key or else its address: `60/minute`, "
        "`5/second;1000/day`. All workers count together.",
        "none",
    )
    proxies: int = _setting(
        0,
        _number(int, 0),
        "proxies",
        "Proxies before the service whose `X-Forwarded-For` and `-Proto` are believed.",
    )
    cors_origins: tuple[str, ...] = _setting(
        (),
        _origins,
        "origins",
        "Sites whose scripts may ask the API from a browser, with commas between; `*` for all.",
        "none",
    )
    max_body_bytes: int = _setting(
        20 * 2**20, _number(int, 1024), "bytes", "Largest request body, and largest picture file."
    )
    max_pixels: int = _setting(
        50_000_000, _number(int, 1), "pixels", "Largest picture, width times height."
    )
    max_limit: int = _setting(
        1000, _number(int, 10), "answers", "Largest `limit` of a request: answers on one page."
    )
    max_batch: int = _setting(
        64, _number(int, 1), "searches", "Searches in one batch, at the most."
    )
    crop_search: bool = _setting(
        True,
        _switch,
        "on or off",
        "Search with an upload as a piece of a larger picture too; off saves two fifths of an "
        "upload's time, and fewer pieces find their picture.",
        "on",
    )
    workers: int = _setting(
        _workers, _number(int, 1), "processes", "Worker processes.", "one a core, at most 4"
    )
    threads: int = _setting(
        4, _number(int, 1), "threads", "Requests that are worked on at a time in each worker."
    )
    queue: int = _setting(
        8,
        _number(int, 0),
        "requests",
        "Requests that may wait for their turn in each worker; more are answered 503 at once.",
    )
    wait_s: float = _setting(
        2.0,
        _number(float, 0),
        "seconds",
        "Longest wait for a turn, and for room to decode a picture; after it 503.",
    )
    request_s: float = _setting(
        30.0,
        _number(float, 0.1),
        "seconds",
        "Time that a request may take once it has arrived; the next step after it is a 503.",
    )
    client_s: float = _setting(
        60.0,
        _number(float, 1),
        "seconds",
        "Time that a client may keep a thread waiting with its body, or by not taking the answer.",
    )
    decodes: int = _setting(
        2, _number(int, 1), "pictures", "Uploads that are decoded at a time in each worker."
    )
    decode_pixels: int = _setting(
        50_000_000,
        _number(int, 1),
        "pixels",
        "Pixels of all uploads that are decoded at a time in each worker; a larger one goes alone.",
    )
    encoder_threads: int = _setting(
        1, _number(int, 1), "threads", "Threads that encode one picture."
    )
    search_threads: int = _setting(
        1, _number(int, 1), "threads", "Threads of FAISS in each worker."
    )
    max_requests: int = _setting(
        0,
        _number(int, 0),
        "requests",
        "Requests after which a worker is replaced by a fresh one; 0: never.",
    )
    poll_s: float = _setting(
        1.0, _number(float, 0.01), "seconds", "Time between two looks for a new snapshot."
    )
    demo_minutes: float = _setting(
        3.0, _number(float, 0), "minutes", "Training time of `bin/demo`; the service ignores it."
    )
    port: int | None = _setting(
        None,
        _port,
        "port",
        "Listen on this port of every address (0.0.0.0), as hosting platforms ask for it.",
        "127.0.0.1:8000",
    )

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the settings from the environment (default: this process's).

        Raises
        ------
        SettingsError
            If a LOOKALIKE_ name is unknown or a value cannot be used; one sentence.
        """
        environ = os.environ if environ is None else environ
        lines = {variable(line): line for line in dataclasses.fields(cls)}
        _refuse_unknown(environ, list(lines))
        given = {name: text for name, text in environ.items() if name in lines and text != ""}
        return cls(**{lines[n].name: _read(lines[n], text) for n, text in given.items()})

    @property
    def bind(self) -> str:
        """Address and port to listen on."""
        return "127.0.0.1:8000" if self.port is None else f"0.0.0.0:{self.port}"


def variable(line: dataclasses.Field[Any]) -> str:
    """Return the environment variable that sets a field."""
    return "PORT" if line.name == "port" else PREFIX + line.name.upper()


def markdown_table() -> str:
    """Return the settings as a table for docs/http-api.md."""
    lines = ["| variable | default | unit | meaning |", "| --- | --- | --- | --- |"]
    for line in dataclasses.fields(Settings):
        default = line.metadata["default_text"] or line.default
        unit, help_ = line.metadata["unit"], line.metadata["help"]
        lines.append(f"| `{variable(line)}` | {default} | {unit} | {help_} |")
    return "\n".join(lines) + "\n"


def _read(line: dataclasses.Field[Any], text: str) -> Any:
    try:
        return line.metadata["read"](text)
    except ValueError as error:
        wanted = (line.metadata["read"].__doc__ or "").rstrip(".").lower()
        raise SettingsError(f"{variable(line)} must be {wanted}, not {text!r}") from error


def _refuse_unknown(environ: Mapping[str, str], known: list[str]) -> None:
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0)[0]
            raise SettingsError(
                f"there is no setting {name}: did you mean {near}? "
                "docs/http-api.md lists all of them"
            )
