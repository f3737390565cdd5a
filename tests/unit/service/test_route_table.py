from __future__ import annotations

import re

import pytest

from service.route_table import ROUTES, path_is_for_programs, path_needs_key, route_of
from service.settings import Settings
from tests.helpers.apps import running_app


def test_table_holds_exactly_the_routes_of_the_application(tmp_path):
    """No view is left out of the table, and every line of it is served."""
    with running_app(Settings(data=tmp_path)) as app:
        served = {
            (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), rule.endpoint)
            for rule in app.url_map.iter_rules()
            for method in rule.methods - {"HEAD", "OPTIONS"}
        }

    assert sorted((one.method, one.path, one.endpoint) for one in ROUTES) == sorted(served)


def test_endpoints_differ():
    """An endpoint names one line, so that guards find the right one."""
    endpoints = [route.endpoint for route in ROUTES]

    assert len(set(endpoints)) == len(endpoints)


def test_request_without_a_route_passes_every_guard():
    """A wrong address costs what any other does: a key, a slot and one count."""
    unknown = route_of(None)

    assert unknown.needs_key
    assert unknown.needs_slot
    assert unknown.is_rate_limited


def test_only_health_checks_need_no_key():
    """Load balancers have no key; everything else is private where keys are set."""
    assert {one.path for one in ROUTES if not one.needs_key} == {"/livez", "/readyz"}
    assert path_needs_key("/api/v1/nothing")


@pytest.mark.parametrize(
    ("path", "for_programs"),
    [
        ("/api/v1/search", True),
        ("/api/nothing", True),
        ("/metrics", True),
        ("/livez", True),
        ("/", False),
        ("/search", False),
        ("/nothing", False),
    ],
)
def test_errors_are_json_for_programs_and_pages_for_people(path, for_programs):
    """So are those of addresses that do not exist."""
    assert path_is_for_programs(path) == for_programs
