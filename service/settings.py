"""Settings of the service: one list, read once from the environment.

Only `create_app` and gunicorn.conf.py read the environment.
"""

from __future__ import annotations

import dataclasses
import difflib
import ipaddress
import os
import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from models.runtime.machine_limits import cores, decode_pixels, memory_limit_bytes
from service.errors import SettingsError

PREFIX = "LOOKALIKE_"
DEFAULT_PORT = 8000
_MOST_WORKERS = 4
_WORKER_BYTES = 512 << 20  # a worker that decodes a photo of 24 megapixels
_PARTS_OF_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)*")
_MOST_CHARACTERS = 255  # of a prefix

# Kubernetes, and Docker with links, describe a service named lookalike or lookalike-... to every
# container by such variables. No setting has a name of this form; a test checks that.
_SERVICE_LINK = re.compile(
    r"LOOKALIKE(_[A-Z0-9_]+)?_("
    r"SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?"
    r"|PORT_\d+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO|START|END|PORT_START|PORT_END))?"
    r"|ENV_\w+)"
)
_SERVICE_LINK_BY_VALUE = (  # names that a person may set as well
    (re.compile(r"LOOKALIKE(_[A-Z0-9_]+)?_PORT"), re.compile(r"(tcp|udp|sctp)://")),
    (re.compile(r"LOOKALIKE(_[A-Z0-9_]+)?_NAME"), re.compile(r"/\S+/\S+$")),
)
_MEANT = {  # names that people try, and no spelling is near
    "LOOKALIKE_PORT": "PORT",
    "LOOKALIKE_HOST": "LOOKALIKE_BIND",
    "LOOKALIKE_LISTEN": "LOOKALIKE_BIND",
    "LOOKALIKE_ADDRESS": "LOOKALIKE_BIND",
}


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
    """A folder."""  # noqa: D401 - part of a message: "... must be a folder"
    if not text:
        raise ValueError("empty")
    return Path(text)


def read_prefix(text: str) -> str:
    """A path such as /look, of letters, digits and . _ ~ -."""  # noqa: D401 - as above
    prefix = text.removesuffix("/")
    if not _PARTS_OF_PATH.fullmatch(prefix) or len(prefix) > _MOST_CHARACTERS:
        raise ValueError(text)
    return prefix


def _port(text: str) -> int:
    """A port, 1 to 65535."""  # noqa: D401 - as above
    value = int(text)
    if not 1 <= value <= 65535:
        raise ValueError(text)
    return value


def _addresses(text: str) -> tuple[str, ...]:
    """Addresses such as [::], 127.0.0.1:8000 or unix:/run/socket, with commas between."""  # noqa: D401 - as above
    addresses = tuple(address.strip() for address in text.split(",") if address.strip())
    if not addresses:
        raise ValueError("no address")
    for address in addresses:
        if not _is_socket_path(address):
            _check_address(address)
    return addresses


def _is_socket_path(address: str) -> bool:
    return re.fullmatch(r"unix:/.+", address) is not None


def _check_address(address: str) -> None:
    """Raise ValueError unless this is an IP address, IPv6 in brackets, with or without a port."""
    found = re.fullmatch(r"(\[(?P<v6>[^]%]+)\]|(?P<v4>[^:\[\]]+))(:(?P<port>\d+))?", address)
    if found is None:
        raise ValueError(address)
    if found["v6"] is not None:
        ipaddress.IPv6Address(found["v6"])
    else:
        ipaddress.IPv4Address(found["v4"])
    if found["port"] is not None:
        _port(found["port"])


def _keys(text: str) -> tuple[str, ...]:
    """One or more texts, separated by commas."""  # noqa: D401 - as above
    keys = tuple(key.strip() for key in text.split(",") if key.strip())
    if not keys:
        raise ValueError("no key")
    return keys


def _rate(text: str) -> str:
    """A rate such as 60/minute, or several, separated by semicolons."""  # noqa: D401 - as above
    from limits import parse_many  # slow to import, and rarely needed

    parse_many(text)  # raises ValueError
    return text


def _origins(text: str) -> tuple[str, ...]:
    """Origins such as https://example.org, separated by commas, or *."""  # noqa: D401 - as above
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
    """Return the default number of worker processes for this machine."""
    by_memory = memory_limit_bytes() // _WORKER_BYTES
    return max(1, min(cores(), by_memory, _MOST_WORKERS))


def _setting(
    default: Any,
    read: Callable[[str], Any],
    unit: str,
    help_: str,
    default_text: str | None = None,
    secret: bool = False,
) -> Any:
    """Return the dataclass field for one setting."""
    metadata = {"read": read, "unit": unit, "help": help_, "default_text": default_text}
    if callable(default):
        return dataclasses.field(default_factory=default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata, repr=not secret)


@dataclass(frozen=True)
class Settings:
    """The settings; `markdown_list` describes each field.

    A field is set by LOOKALIKE_ and its name in capitals. Only `port` is set by PORT.
    """

    data: Path = _setting(
        Path("data"), _path, "folder", "Read the indexer's snapshots from this folder."
    )
    images: Path | None = _setting(
        None,
        _path,
        "folder",
        "Look for the original pictures here. Needed only if they have moved since indexing.",
        "as indexed",
    )
    api_key: tuple[str, ...] = _setting(
        (),
        _keys,
        "keys",
        "Require one of these keys, separated by commas. `/livez` and `/readyz` stay open.",
        "none, open to all",
        secret=True,
    )
    rate_limit: str | None = _setting(
        None,
        _rate,
        "rate",
        "Limit the requests of each client, such as `60/minute` or `5/second;1000/day`. A client "
        "is known by its key, or else by its address. All workers count together.",
        "none",
    )
    proxies: int = _setting(
        0,
        _number(int, 0),
        "proxies",
        "Trust `X-Forwarded-For` and `X-Forwarded-Prefix` from this many proxies in front of the "
        "service.",
    )
    prefix: str = _setting(
        "",
        read_prefix,
        "path",
        "Begin every address with this path, such as `/look`, and remove it from requests. "
        "`X-Forwarded-Prefix` is then ignored.",
        "none",
    )
    cors_origins: tuple[str, ...] = _setting(
        (),
        _origins,
        "origins",
        "Let scripts of these sites use the API in a browser, separated by commas; `*` for all.",
        "none",
    )
    max_body_bytes: int = _setting(
        20 * 2**20,
        _number(int, 1024),
        "bytes",
        "Refuse request bodies and picture files larger than this.",
    )
    max_pixels: int = _setting(
        50_000_000, _number(int, 1), "pixels", "Refuse pictures with more pixels than this."
    )
    max_limit: int = _setting(
        1000, _number(int, 10), "results", "Refuse requests whose `limit` is larger than this."
    )
    max_batch: int = _setting(
        64, _number(int, 1), "searches", "Refuse batches with more searches than this."
    )
    crop_search: bool = _setting(
        True,
        _switch,
        "on or off",
        "Also search for the larger picture that an upload was cropped from. `off` saves two "
        "fifths of the time of an upload, but fewer crops find their picture.",
        "on",
    )
    workers: int = _setting(
        _workers,
        _number(int, 1),
        "processes",
        "Run this many worker processes.",
        "one per core, at most 4, and at most one per 512 MiB of memory",
    )
    threads: int = _setting(
        4, _number(int, 1), "threads", "Process this many requests at a time in each worker."
    )
    queue: int = _setting(
        8,
        _number(int, 0),
        "requests",
        "Let this many requests wait for a slot in each worker. Further ones get 503 at once.",
    )
    wait_s: float = _setting(
        2.0,
        _number(float, 0),
        "seconds",
        "Wait at most this long for a request slot, and for a decode slot; then answer 503.",
    )
    request_s: float = _setting(
        30.0,
        _number(float, 0.1),
        "seconds",
        "Limit the time of a request after its arrival. The next step after that answers 503.",
    )
    client_s: float = _setting(
        60.0,
        _number(float, 1),
        "seconds",
        "Cut off clients that keep a thread waiting longer, for body and response together.",
    )
    decodes: int = _setting(
        2, _number(int, 1), "pictures", "Decode this many uploads at a time in each worker."
    )
    decode_pixels: int | None = _setting(
        None,
        _number(int, 1),
        "pixels",
        "Decode pictures with at most this many pixels in total at a time in each worker. A "
        "larger picture is decoded alone.",
        "25000000 for each of `LOOKALIKE_DECODES`, or less if half of the memory is less",
    )
    encoder_threads: int = _setting(
        1, _number(int, 1), "threads", "Encode each picture with this many threads."
    )
    search_threads: int = _setting(
        1, _number(int, 1), "threads", "Search with this many FAISS threads in each worker."
    )
    max_requests: int = _setting(
        0,
        _number(int, 0),
        "requests",
        "Replace a worker after this many requests; 0 means never.",
    )
    poll_s: float = _setting(
        1.0, _number(float, 0.01), "seconds", "Check for a new snapshot at this interval."
    )
    demo_minutes: float = _setting(
        3.0,
        _number(float, 0),
        "minutes",
        "Train for this long in `bin/demo`. The service ignores it.",
    )
    bind: tuple[str, ...] = _setting(
        (),
        _addresses,
        "addresses",
        "Listen here, separated by commas: `[::]` for every IPv6 and IPv4 address, "
        "`127.0.0.1:9000`, `unix:/run/lookalike/socket`. An address without a port gets `PORT`, "
        "or else 8000.",
        "127.0.0.1, or 0.0.0.0 if `PORT` is set",
    )
    port: int | None = _setting(
        None,
        _port,
        "port",
        "Listen on this port; without `LOOKALIKE_BIND`, of all IPv4 addresses (0.0.0.0), as "
        "hosting platforms require.",
        "8000",
    )

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the settings from the environment (default: the environment of this process).

        Raises
        ------
        SettingsError
            If a LOOKALIKE_ name is unknown or a value is invalid. The message is one sentence.
        """
        environ = os.environ if environ is None else environ
        lines = {variable(line): line for line in dataclasses.fields(cls)}
        _refuse_unknown(environ, list(lines))
        given = {name: _cleaned(name, environ[name]) for name in lines if name in environ}
        return cls(**{lines[n].name: _read(lines[n], text) for n, text in given.items() if text})

    @property
    def addresses(self) -> list[str]:
        """What to listen on: addresses with their ports, and paths of sockets after `unix:`."""
        port = DEFAULT_PORT if self.port is None else self.port
        given = self.bind or ("127.0.0.1" if self.port is None else "0.0.0.0",)
        return [
            one if _is_socket_path(one) or re.search(r":\d+$", one) else f"{one}:{port}"
            for one in given
        ]

    @property
    def pixels_at_a_time(self) -> int:
        """Pixels that one worker decodes at a time."""
        memory_bytes = memory_limit_bytes() // self.workers
        return self.decode_pixels or decode_pixels(memory_bytes, self.decodes)


def variable(line: dataclasses.Field[Any]) -> str:
    """Return the environment variable that sets a field."""
    return "PORT" if line.name == "port" else PREFIX + line.name.upper()


def markdown_list() -> str:
    """Return the settings as a Markdown list for docs/http-api.md."""
    return "".join(_item(line) + "\n" for line in dataclasses.fields(Settings))


def _item(line: dataclasses.Field[Any]) -> str:
    default = line.metadata["default_text"] or line.default
    unit, help_ = line.metadata["unit"], line.metadata["help"]
    return textwrap.fill(
        f"- `{variable(line)}` ({unit}; default: {default}): {help_}",
        width=100,
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _cleaned(name: str, text: str) -> str:
    """Return a value without what files of variables leave at its ends: spaces and CR."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        raise SettingsError(
            f"the value of {name} is in quotes: remove them. A shell would do so, but "
            "`docker --env-file` does not"
        )
    return text


def _read(line: dataclasses.Field[Any], text: str) -> Any:
    try:
        return line.metadata["read"](text)
    except ValueError as error:
        wanted = (line.metadata["read"].__doc__ or "").rstrip(".").lower()
        raise SettingsError(f"{variable(line)} must be {wanted}, not {text!r}") from error


def is_service_link(name: str, text: str) -> bool:
    """Return whether Kubernetes or Docker sets a variable to describe a service.

    Parameters
    ----------
    name, text : str
        The variable and its value.
    """
    return _SERVICE_LINK.fullmatch(name) is not None or any(
        by_name.fullmatch(name) and by_value.match(text)
        for by_name, by_value in _SERVICE_LINK_BY_VALUE
    )


def _refuse_unknown(environ: Mapping[str, str], known: list[str]) -> None:
    for name in sorted(environ):
        # Lower case, or the mark that Windows puts at the start of a file, hides a name from us.
        is_ours = name.removeprefix("\ufeff").upper().startswith(PREFIX)
        if not is_ours or name in known:
            continue
        if not is_service_link(name, environ[name]):
            near = _MEANT.get(name) or difflib.get_close_matches(name, known, n=1, cutoff=0)[0]
            raise SettingsError(
                f"unknown setting {name}: did you mean {near}? docs/http-api.md lists all settings"
            )
