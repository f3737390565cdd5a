"""The online half: pages and a JSON API over a published snapshot.

The only package that knows Flask. It never imports `indexer`, nor TensorFlow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from service.settings import Settings


def create_app(settings: Settings | None = None) -> Flask:
    """Return the WSGI application.

    Parameters
    ----------
    settings : Settings, optional
        Default: from the environment.

    Returns
    -------
    flask.Flask
        It has opened the current snapshot and looks for new ones in a thread of its own, so call
        this in the process that answers: after a fork, never before.

    Raises
    ------
    SettingsError
        If the environment asks for something that cannot be. A data folder without a snapshot is
        no error: the application starts, says so, and picks up the first one that is published.
    """
    # Imported here, so that gunicorn's parent, which reads its configuration from this package,
    # loads neither FAISS nor NumPy and forks without their threads.
    from service.app import make_app
    from service.settings import Settings

    return make_app(settings or Settings.from_environment())
