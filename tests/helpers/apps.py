"""The service's application in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask

from service.app import make_app
from service.context import KEY
from service.guard import deadline
from service.settings import Settings
from tests.helpers.fakes import FakeEncoder


@contextmanager
def running_app(settings: Settings, open_encoder=lambda snapshot: FakeEncoder()) -> Iterator[Flask]:
    """Give an application; what it opens is closed at the end.

    `open_encoder` None stands for the encoder of the snapshot.
    """
    app = make_app(settings, open_encoder)
    try:
        yield app
    finally:
        app.extensions[KEY].holder.stop()
        deadline.begin(float("inf"))  # that of the last request is no other test's
