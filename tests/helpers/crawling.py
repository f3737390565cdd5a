"""A crawler: it opens every address that the pages name, and sends every form once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin

BOUNDARY = "57721566490153286060651209008240"
ADDRESS_ATTRIBUTES = ("href", "src", "data-picture", "data-document")
_OF_A_STYLE = re.compile(r"""url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)""")
_OF_A_SCRIPT = re.compile(r"""["'`](/[^"'`\s]*)["'`]""")  # an address written into a script
_ID = re.compile(r"[0-9a-f]{16}(-\d+)?|\d+")

# method, address, body, Content-Type -> status, headers, body
Ask = Callable[[str, str, bytes, str], tuple[int, dict[str, str], bytes]]


@dataclass
class Form:
    """A form with what a browser would send.

    Attributes
    ----------
    action, method : str
    fields : list of (str, str)
        Name and value; of checkboxes with one name, the first.
    has_file : bool
    """

    action: str
    method: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    has_file: bool = False


class Links(HTMLParser):
    """The addresses and forms of a page.

    Attributes
    ----------
    addresses : set of str
    forms : list of Form
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: set[str] = set()
        self.forms: list[Form] = []
        self._by_id: dict[str, Form] = {}
        self._early: list[tuple[str, dict[str, str]]] = []  # fields before their form
        self._select = ""
        self.feed(html)
        for owner, attrs in self._early:
            self._field(self._by_id[owner], attrs)

    def handle_starttag(self, tag, attrs) -> None:
        """Collect addresses, forms and fields."""
        found = {name: value or "" for name, value in attrs}
        self.addresses |= {found[name] for name in ADDRESS_ATTRIBUTES if found.get(name)}
        if tag == "form":
            form = Form(found.get("action", ""), found.get("method", "get").upper())
            self.forms.append(form)
            self._by_id[found.get("id", "")] = form
        elif tag == "select":
            self._select = found["name"]
        elif tag == "option" and self.forms and found.get("value"):
            self._field(self.forms[-1], found | {"name": self._select})
        elif tag in ("input", "button") and found.get("name"):
            if "form" in found:
                self._early.append((found["form"], found))
            else:
                self._field(self.forms[-1], found)

    def _field(self, form: Form, attrs: dict[str, str]) -> None:
        if attrs.get("type") == "file":
            form.has_file = True
        elif attrs["name"] not in dict(form.fields) and attrs["name"] != "negative":
            form.fields.append((attrs["name"], attrs.get("value", "")))


@dataclass
class Crawler:
    """What was asked, and what came of it.

    Attributes
    ----------
    ask : Ask
    start : str
        Where to begin; nothing may lead out of this path.
    picture : bytes
        For forms with a file.
    answered : dict of str to int
        Status by "METHOD address".
    strays : set of (str, str)
        Addresses out of `start`, and the page that names them.
    """

    ask: Ask
    start: str
    picture: bytes
    answered: dict[str, int] = field(default_factory=dict)
    strays: set[tuple[str, str]] = field(default_factory=set)

    def run(self) -> None:
        """Follow everything."""
        waiting = [("GET", self.start, b"", "")]
        seen = set()
        while waiting:
            method, address, body, kind = waiting.pop()
            status, headers, answer = self.ask(method, address, body, kind)
            self.answered[f"{method} {address}"] = status
            for one in self._named(address, status, headers, answer):
                key = _kind_of(one)
                if key not in seen:
                    seen.add(key)
                    waiting.append(one)

    def _named(self, page, status, headers, answer) -> Iterator[tuple[str, str, bytes, str]]:
        for address in {*_addresses(headers, answer)}:
            if target := self._target(page, address):
                yield "GET", target, b"", ""
        if headers.get("Content-Type", "").startswith("text/html"):
            for form in Links(answer.decode()).forms:
                if target := self._target(page, form.action):
                    yield self._request(target, form)

    def _target(self, page: str, address: str) -> str:
        """Return where an address leads, or "" if nothing is to be asked."""
        if address.startswith(("data:", "#")):
            return ""
        target = urljoin(page, address).partition("#")[0]
        if not target.startswith(self.start):
            self.strays.add((address, page))
            return ""
        return target

    def _request(self, target: str, form: Form) -> tuple[str, str, bytes, str]:
        if form.method == "GET":
            return "GET", f"{target}?{urlencode(form.fields)}", b"", ""
        parts = [(f'name="{name}"', value.encode()) for name, value in form.fields]
        if form.has_file:
            parts.append(('name="image"; filename="a.png"', self.picture))
        head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; "
        body = b"".join(f"{head}{name}\r\n\r\n".encode() + value + b"\r\n" for name, value in parts)
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        return "POST", target, body + f"--{BOUNDARY}--\r\n".encode(), kind


def _kind_of(one: tuple[str, str, bytes, str]) -> str:
    """Return what must be asked only once: an address, or a form whatever its picture is."""
    method, address, body, _ = one
    is_form = body or address.partition("?")[2].startswith(("left=", "cluster="))
    fields = "".join(re.findall(r'name="\w+"', body.decode("latin-1")))
    return f"{method} {_ID.sub('*', address) if is_form else address} {fields}"


def _addresses(headers: dict[str, str], answer: bytes) -> Iterator[str]:
    if "Location" in headers:
        yield headers["Location"]
        return
    kind = headers.get("Content-Type", "").partition(";")[0]
    text = answer.decode("utf-8", "replace")
    if kind == "text/html":
        yield from Links(text).addresses
    elif kind == "text/css":
        yield from (one or other for one, other in _OF_A_STYLE.findall(text))
    elif kind.endswith("javascript") and len(text) < 100_000:  # not the bundle of Swagger UI
        yield from _OF_A_SCRIPT.findall(text)
    elif kind == "application/json":
        yield from re.findall(r'_url": ?"([^"]+)"', text)
