"""The command line: `ttorm demo`, `ttorm listen` and `ttorm serve`."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    try:
        from ttorm.cli.commands import ttorm
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.exit('The command line needs click: python -m pip install "ttorm[cli]"')
    ttorm(prog_name="ttorm")
