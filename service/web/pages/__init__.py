"""The pages, one module each: HTML from the server, usable without JavaScript.

A module has the name of its page. `_ROUTES` lists the addresses.
"""

from __future__ import annotations

from flask import Blueprint

from service.web.pages import (
    browse,
    collection,
    duplicates,
    group,
    groups,
    home,
    like,
    search,
    similar,
)
from service.web.pages import map as map_page

bp = Blueprint("pages", __name__)

_ROUTES = (
    ("GET", "/", home.home),
    ("POST", "/search", search.search_upload),
    ("GET", "/search", search.search_form),
    ("GET", "/similar/<image_id>", similar.similar),
    ("GET", "/like", like.like),
    ("GET", "/browse", browse.browse),
    ("GET", "/groups", groups.groups),
    ("GET", "/groups/<int:label>", group.group),
    ("GET", "/map", map_page.map_),
    ("GET", "/duplicates", duplicates.duplicates),
    ("GET", "/collection", collection.collection),
)
for _method, _address, _view in _ROUTES:
    bp.add_url_rule(_address, view_func=_view, methods=[_method])
