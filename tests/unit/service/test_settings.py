from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from service.errors import SettingsError
from service.settings import Settings, is_service_link, markdown_list, variable


def test_empty_environment_gives_the_defaults():
    """Without any variable the service listens on this machine only."""
    settings = Settings.from_environment({})
    assert settings == Settings()
    assert settings.addresses == ["127.0.0.1:8000"]
    assert settings.data == Path("data")
    assert 1 <= settings.workers <= 4


def test_port_binds_every_address():
    """A hosting platform's PORT is answered on all addresses."""
    assert Settings.from_environment({"PORT": "5000"}).addresses == ["0.0.0.0:5000"]


@pytest.mark.parametrize(
    ("given", "addresses"),
    [
        ({"LOOKALIKE_BIND": "[::]"}, ["[::]:8000"]),
        ({"LOOKALIKE_BIND": "[::]", "PORT": "5000"}, ["[::]:5000"]),
        ({"LOOKALIKE_BIND": "[::1]:9000", "PORT": "5000"}, ["[::1]:9000"]),
        ({"LOOKALIKE_BIND": "127.0.0.1, [fd00::2]:81"}, ["127.0.0.1:8000", "[fd00::2]:81"]),
        ({"LOOKALIKE_BIND": "unix:/run/a socket:1"}, ["unix:/run/a socket:1"]),
    ],
)
def test_bind_address_gets_the_port(given, addresses):
    """An address without a port gets PORT, or else 8000; a socket in a folder has no port."""
    assert Settings.from_environment(given).addresses == addresses


def test_values_are_read():
    """Each variable reaches its field, as a number or a path."""
    settings = Settings.from_environment(
        {"LOOKALIKE_DATA": "/srv/x", "LOOKALIKE_POLL_S": "0.25", "LOOKALIKE_MAX_PIXELS": "1000"}
    )
    assert (settings.data, settings.poll_s, settings.max_pixels) == (Path("/srv/x"), 0.25, 1000)


def test_empty_value_means_the_default():
    """A variable that is set to nothing, as in many unit files, is as if unset."""
    assert Settings.from_environment({"LOOKALIKE_IMAGES": "", "PORT": ""}) == Settings()


@pytest.mark.parametrize("end", [" ", "\r", "\r\n", "\t"])
def test_ends_of_lines_are_no_part_of_a_value(end):
    """A file of variables that was written on Windows leaves a CR at the end of each."""
    values = {"DATA": "/srv/x", "WORKERS": "2", "CROP_SEARCH": "off", "API_KEY": "secret"}
    environ = {f"LOOKALIKE_{name}": text + end for name, text in values.items()}
    settings = Settings.from_environment(environ)
    assert (settings.data, settings.workers) == (Path("/srv/x"), 2)
    assert (settings.crop_search, settings.api_key) == (False, ("secret",))


@pytest.mark.parametrize("quote", ['"', "'"])
def test_value_in_quotes_is_refused_without_showing_it(quote):
    """Docker's --env-file keeps quotes, and a folder with quotes in its name does not exist."""
    with pytest.raises(SettingsError, match="LOOKALIKE_API_KEY is in quotes: remove") as caught:
        Settings.from_environment({"LOOKALIKE_API_KEY": f"{quote}secret{quote}"})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["lookalike_data", "Lookalike_Data", "\ufeffLOOKALIKE_DATA"])
def test_name_in_another_case_is_refused(name):
    """It would be ignored silently; so would the first name of a file that begins with a mark."""
    with pytest.raises(SettingsError, match="did you mean LOOKALIKE_DATA"):
        Settings.from_environment({name: "/srv/x"})


def test_other_variables_are_none_of_its_business():
    """Only LOOKALIKE_ names are looked at."""
    assert Settings.from_environment({"HOME": "/x", "LOOK": "1"}) == Settings()


@pytest.mark.parametrize(
    ("text", "prefix"), [("/look", "/look"), ("/look/", "/look"), ("/a/b", "/a/b"), ("/", "")]
)
def test_prefix_has_no_slash_at_its_end(text, prefix):
    """Addresses are appended to it; a slash alone is no prefix."""
    assert Settings.from_environment({"LOOKALIKE_PREFIX": text}).prefix == prefix


def test_unknown_name_is_refused_with_the_nearest():
    """A misspelt setting stops the start instead of being ignored."""
    with pytest.raises(SettingsError, match="did you mean LOOKALIKE_WORKERS"):
        Settings.from_environment({"LOOKALIKE_WORKER": "2"})


@pytest.mark.parametrize(
    ("name", "near"), [("LOOKALIKE_PORT", "PORT"), ("LOOKALIKE_HOST", "LOOKALIKE_BIND")]
)
def test_plausible_name_is_refused_with_the_one_that_exists(name, near):
    """Names that people expect are refused with the setting that they mean."""
    with pytest.raises(SettingsError, match=f"unknown setting {name}: did you mean {near}[?]"):
        Settings.from_environment({name: "8000"})


# What Kubernetes sets for a Service named lookalike that has a named port, and Docker for a link.
SERVICE_LINK = {
    "_SERVICE_HOST": "10.0.0.11",
    "_SERVICE_PORT": "8000",
    "_SERVICE_PORT_HTTP_WEB": "8000",
    "_PORT": "tcp://10.0.0.11:8000",
    "_PORT_8000_TCP": "tcp://10.0.0.11:8000",
    "_PORT_8000_TCP_PROTO": "tcp",
    "_PORT_8000_TCP_PORT": "8000",
    "_PORT_8000_TCP_ADDR": "10.0.0.11",
    "_PORT_53_UDP": "udp://[fd00::11]:53",
    "_PORT_8000_TCP_START": "tcp://172.17.0.5:8000",
    "_PORT_8000_TCP_PORT_END": "8002",
    "_NAME": "/web/lookalike",
    "_ENV_LOOKALIKE_DATA": "/data",
}


@pytest.mark.parametrize("service", ["LOOKALIKE", "LOOKALIKE_WEB", "LOOKALIKE_2"])
@pytest.mark.parametrize("ending", SERVICE_LINK)
def test_kubernetes_and_docker_describe_a_service_named_lookalike(service, ending):
    """Each form of the variables that describe a service to a container is ignored."""
    environment = {service + ending: SERVICE_LINK[ending], "LOOKALIKE_WORKERS": "3"}
    assert Settings.from_environment(environment) == Settings(workers=3)


def test_ipv6_cluster_describes_a_service():
    """The address in the variable may be an IPv6 address."""
    assert Settings.from_environment({"LOOKALIKE_PORT": "tcp://[fd00::11]:8000"}) == Settings()


@pytest.mark.parametrize(
    "name",
    [
        "LOOKALIKE_SERVICE_HOSTS",
        "LOOKALIKE_PORT_HTTP_TCP",
        "LOOKALIKE_PORT_8000",
        "LOOKALIKE_WEB_PORT",
        "LOOKALIKE_NAME",
        "LOOKALIKE_service_host",
    ],
)
def test_what_only_resembles_a_description_of_a_service_stops_the_start(name):
    """Any other name is a misspelt setting."""
    with pytest.raises(SettingsError, match=f"unknown setting {name}"):
        Settings.from_environment({name: "8000"})


@pytest.mark.parametrize("text", ["x", "8000", "/a/b", "tcp://10.0.0.11:8000"])
def test_no_setting_looks_like_a_description_of_a_service(text):
    """Otherwise a misspelt value, or a Service with an unlucky name, would go unnoticed."""
    names = [variable(line) for line in dataclasses.fields(Settings)]
    assert [name for name in names if is_service_link(name, text)] == []


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("LOOKALIKE_WORKERS", "0", "a whole number, 1 or more, not '0'"),
        ("LOOKALIKE_WORKERS", "two", "a whole number, 1 or more, not 'two'"),
        ("LOOKALIKE_POLL_S", "inf", "a number, 0.01 or more"),
        ("LOOKALIKE_POLL_S", "nan", "a number, 0.01 or more"),
        ("PORT", "70000000", "a port, 1 to 65535"),
        ("LOOKALIKE_BIND", "::", r"addresses such as \[::\], 127.0.0.1:8000 or unix:"),
        ("LOOKALIKE_BIND", "::1:8000", "addresses such as"),
        ("LOOKALIKE_BIND", "[fe80::1%eth0]", "addresses such as"),
        ("LOOKALIKE_BIND", "[127.0.0.1]", "addresses such as"),
        ("LOOKALIKE_BIND", "127.0.0.1:0", "addresses such as"),
        ("LOOKALIKE_BIND", "photos.example", "addresses such as"),
        ("LOOKALIKE_BIND", "unix:here", "addresses such as"),
        ("LOOKALIKE_BIND", ",", "addresses such as"),
        ("LOOKALIKE_CROP_SEARCH", "yes", "on or off, not 'yes'"),
        ("LOOKALIKE_PREFIX", "look", "a path such as /look"),
        ("LOOKALIKE_PREFIX", "//evil.example", "a path such as /look"),
        ("LOOKALIKE_PREFIX", "/a/../b", "a path such as /look"),
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
