"""Flask: a session for each request.

```python
app = Flask(__name__)
app.config["TTORM_URL"] = "sqlite:///fleet.db"
Ttorm(app)
```
"""

from __future__ import annotations

from typing import Any, cast

from flask import Flask, Response, request

from ttorm.connection.core import Connection
from ttorm.connection.opening import connect, default_connection
from ttorm.sessions import Session

__all__ = ["Ttorm"]

_BLOCK = "ttorm.session"
"""Where a request has its block: not in `g`, which requests within requests share."""


class Ttorm:
    """The extension: connects, and opens a session block around each request.

    What a request changed is saved before its answer is sent, so that a save that fails becomes an
    error of the request; an answer of 400 or more, or an exception, forgets the changes.

    Configuration: ``TTORM_URL`` and ``TTORM_SECRET`` (the environment's count without them),
    ``TTORM_BUDGET``, the most requests that one request may send.

    Args:
        app: The application; left out, `init_app` takes it later.
        connection: The connection, in place of the configured one.

    Example:
        >>> from flask import Flask
        >>> from ttorm.contrib.flask import Ttorm
        >>> app = Flask("fleet")
        >>> app.config["TTORM_URL"] = "memory:"
        >>> extension = Ttorm(app)
    """

    def __init__(self, app: Flask | None = None, *, connection: Connection | None = None) -> None:
        self._connection = connection
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Connect as an application is configured, and open blocks around its requests.

        Args:
            app: The application.

        Raises:
            ConfigurationError: The URL cannot be connected to.
        """
        connection = self._connection
        if connection is None and _setting(app, "URL"):
            connection = connect(_setting(app, "URL"), secret=_setting(app, "SECRET"))
        budget: int | None = _setting(app, "BUDGET")

        def begin() -> None:
            # Views that are coroutines run on a loop that Flask begins for them.
            block = Session(
                connection or default_connection(), keep=True, budget=budget, anchored=False
            )
            block.begin()
            request.environ[_BLOCK] = block

        def save(response: Response) -> Response:
            # Without one the request was answered before its turn: by a check of who asks, say.
            block: Session | None = request.environ.get(_BLOCK)
            if block is not None and response.status_code < 400:
                block.flush()
            return response

        def end(_: BaseException | None) -> None:
            block: Session | None = request.environ.pop(_BLOCK, None)
            if block is not None:
                block.rollback()
                block.end()

        app.before_request(begin)
        app.after_request(save)
        app.teardown_request(end)
        app.extensions["ttorm"] = self


def _setting(app: Flask, name: str) -> Any:
    # Not the configuration by itself: tracebacks show locals.
    return cast(dict[str, Any], app.config).get(f"TTORM_{name}")
