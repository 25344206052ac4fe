"""Rule expressions: the platform's rule language, written in Python and rendered with care.

```python
from ttorm.rules import TWIN, USER, LEDGER

(TWIN.company == USER.company) & (LEDGER.serial > 3)
```

Class attributes of models are such expressions as well: ``Scooter.battery < 20``. The service
evaluates them; `Expression.matches` does so here.
"""

from __future__ import annotations

from ttorm.rules.attributes import Attribute, Variables
from ttorm.rules.expressions import Expression, raw, rule_text
from ttorm.rules.text import literal
from ttorm.rules.variables import (
    DICT,
    LEDGER,
    TWIN,
    USER,
    account,
    ceiling,
    entry_created_ts,
    entry_name,
    entry_updated_ts,
    entry_value,
    floor,
    identity,
    is_empty,
    keys,
    ledger,
    length,
    lower,
    now,
    role,
    to_number,
    to_text,
    twin,
    twin_status,
    upper,
    user,
    value_changed_ts,
    values,
    when,
)

__all__ = [
    "DICT",
    "LEDGER",
    "TWIN",
    "USER",
    "Attribute",
    "Expression",
    "Variables",
    "account",
    "ceiling",
    "entry_created_ts",
    "entry_name",
    "entry_updated_ts",
    "entry_value",
    "floor",
    "identity",
    "is_empty",
    "keys",
    "ledger",
    "length",
    "literal",
    "lower",
    "now",
    "raw",
    "role",
    "rule_text",
    "to_number",
    "to_text",
    "twin",
    "twin_status",
    "upper",
    "user",
    "value_changed_ts",
    "values",
    "when",
]
