"""Flask: a session for each request.

```python
app = Flask(__name__)
app.config["TTORM_URL"] = "sqlite:///fleet.db"
Ttorm(app)
```
"""

from __future__ import annotations

from typing import Any, cast

from flask import Flask, Response, g

from ttorm.connection.core import Connection
from ttorm.connection.opening import connect, default_connection
from ttorm.sessions import Session

__all__ = ["Ttorm"]


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
        config = cast(dict[str, Any], app.config)
        connection = self._connection
        if connection is None and config.get("TTORM_URL"):
            connection = connect(config["TTORM_URL"], secret=config.get("TTORM_SECRET"))
        budget: int | None = config.get("TTORM_BUDGET")

        def begin() -> None:
            # Views that are coroutines run on a loop that Flask begins for them.
            block = Session(
                connection or default_connection(), keep=True, budget=budget, anchored=False
            )
            block.begin()
            g.ttorm_session = block

        def save(response: Response) -> Response:
            block: Session = g.ttorm_session
            if response.status_code < 400:
                block.flush()
            return response

        def end(_: BaseException | None) -> None:
            block: Session | None = g.pop("ttorm_session", None)
            if block is not None:
                block.rollback()
                block.end()

        app.before_request(begin)
        app.after_request(save)
        app.teardown_request(end)
        app.extensions["ttorm"] = self
