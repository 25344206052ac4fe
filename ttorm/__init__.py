"""ttorm: active records for the Trusted Twin platform, with an embedded emulator of its API.

```python
import ttorm
from ttorm import Field, Twin, description, entry, identity

class Scooter(Twin):
    model: Field[str] = description()
    battery: Field[float] = entry(history="3M")
    serial: Field[str] = identity("SN", key=True)

ttorm.connect("memory:")
scooter = Scooter.create(model="X1", battery=99.0, serial="A17")
scooter.battery -= 3
scooter.save()
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ttorm._version import __version__ as __version__

if TYPE_CHECKING:
    from ttorm import emulator as emulator
    from ttorm import webhooks as webhooks
    from ttorm.public import *  # noqa: F403 # type checkers see all names at once
else:
    # Not for type checkers, which would then take any name for one of the module's.
    def __getattr__(name: str) -> Any:
        # "import ttorm" alone costs next to nothing: the first name that is used brings the rest.
        import importlib

        if name in ("emulator", "rules", "signals", "webhooks"):
            # Modules alone, for the modules below this one name them while they are imported.
            return importlib.import_module(f"ttorm.{name}")
        public = importlib.import_module("ttorm.public")
        if name == "__all__":
            return public.__all__
        if name in public.__all__:
            globals().update({known: getattr(public, known) for known in public.__all__})
            return globals()[name]
        raise AttributeError(f"module 'ttorm' has no attribute {name!r}")


def __dir__() -> list[str]:
    from ttorm.public import __all__ as names

    return [*globals(), *names, "emulator", "webhooks"]
