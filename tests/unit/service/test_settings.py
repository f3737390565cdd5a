from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from service.errors import SettingsError
from service.settings import Settings, markdown_list, variable


def test_empty_environment_gives_the_defaults():
    """Without any variable the service listens on this machine only."""
    settings = Settings.from_environment({})
    assert settings == Settings()
    assert settings.bind == "127.0.0.1:8000"
    assert settings.data == Path("data")
    assert 1 <= settings.workers <= 4


def test_port_binds_every_address():
    """A hosting platform's PORT is answered on all addresses."""
    assert Settings.from_environment({"PORT": "5000"}).bind == "0.0.0.0:5000"


def test_values_are_read():
    """Each variable reaches its field, as a number or a path."""
    settings = Settings.from_environment(
        {"LOOKALIKE_DATA": "/srv/x", "LOOKALIKE_POLL_S": "0.25", "LOOKALIKE_MAX_PIXELS": "1000"}
    )
    assert (settings.data, settings.poll_s, settings.max_pixels) == (Path("/srv/x"), 0.25, 1000)


def test_empty_value_means_the_default():
    """A variable that is set to nothing, as in many unit files, is as if unset."""
    assert Settings.from_environment({"LOOKALIKE_IMAGES": "", "PORT": ""}) == Settings()


def test_other_variables_are_none_of_its_business():
    """Only LOOKALIKE_ names are looked at."""
    assert Settings.from_environment({"HOME": "/x", "LOOK": "1"}) == Settings()


def test_unknown_name_is_refused_with_the_nearest():
    """A misspelt setting stops the start instead of being ignored."""
    with pytest.raises(SettingsError, match="did you mean LOOKALIKE_WORKERS"):
        Settings.from_environment({"LOOKALIKE_WORKER": "2"})


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("LOOKALIKE_WORKERS", "0", "a whole number, 1 or more, not '0'"),
        ("LOOKALIKE_WORKERS", "two", "a whole number, 1 or more, not 'two'"),
        ("LOOKALIKE_POLL_S", "inf", "a number, 0.01 or more"),
        ("LOOKALIKE_POLL_S", "nan", "a number, 0.01 or more"),
        ("PORT", "70000000", "a port, 1 to 65535"),
        ("LOOKALIKE_CROP_SEARCH", "yes", "on or off, not 'yes'"),
    ],
)
def test_impossible_value_is_refused_by_name(name, text, words):
    """The sentence names the variable, what it must be, and what it was."""
    with pytest.raises(SettingsError, match=f"{name} must be {words}"):
        Settings.from_environment({name: text})


def test_list_has_an_item_for_every_field():
    """The generated list leaves nothing out; each item has a unit, a default and a help text."""
    items = re.findall(r"^- `(\w+)` \(([^;]+); default: ([^)]+)\):\s(\S)", markdown_list(), re.M)
    assert [name for name, *_ in items] == [
        variable(field) for field in dataclasses.fields(Settings)
    ]
    assert all(len(line) <= 100 for line in markdown_list().splitlines())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("RATE_LIMIT", "often"),
        ("RATE_LIMIT", "60"),
        ("CORS_ORIGINS", "app.example"),
        ("CORS_ORIGINS", "https://app.example/"),
        ("CORS_ORIGINS", "https://app.example/x"),
        ("PROXIES", "-1"),
    ],
)
def test_impossible_guard_stops_the_start(name, text):
    """A limit or an origin that would never hold is refused with a sentence."""
    with pytest.raises(SettingsError, match=f"LOOKALIKE_{name} must be"):
        Settings.from_environment({f"LOOKALIKE_{name}": text})


def test_guards_are_read_from_the_environment():
    """Several origins and limits reach their fields."""
    settings = Settings.from_environment(
        {
            "LOOKALIKE_RATE_LIMIT": "5/second;1000/day",
            "LOOKALIKE_CORS_ORIGINS": "https://a.example, http://localhost:3000",
            "LOOKALIKE_PROXIES": "1",
        }
    )
    assert settings.rate_limit == "5/second;1000/day"
    assert settings.cors_origins == ("https://a.example", "http://localhost:3000")
    assert settings.proxies == 1
