"""Rules: the contract's worked examples, and what strangers may not do with them."""

from __future__ import annotations

import json
import random
import string
import subprocess
import sys
import time

import pytest

from ttorm.emulator.guard import MAX_STEPS, MAX_TEXT
from ttorm.emulator.patterns import MAX_PATHS, PatternError, check_pattern, paths
from ttorm.emulator.rules import RuleError, compile_rule

VARIABLES = {
    "account": "5f0c2d2e-7f3b-4f0e-9d55-0f4c1f2a6b01",
    "ledger": "c3d9b0a4-2a61-4e43-8d0f-6a3e8c5f7e02",
    "twin_status": "alive",
    "identity": "RFID#0001",
    "now": 1708000000.0,
    "entry_name": "temperature",
    "entry_value": 21.5,
    "value_changed_ts": 1707997392.123,
    "USER": {
        "company": "acme",
        "profession": "accounting",
        "level": 3,
        "regions": ["north", "south"],
        "active": True,
        "limits": {"max_price": 100},
        "keys": "k-77",
        "nick": None,
    },
    "TWIN": {"company": "acme", "kind": "pump", "serial": "SN-123", "year": 2021},
    "LEDGER": {
        "serial": 5,
        "public": ["temperature", "pressure"],
        "model": "m1",
        "readings": [1, 2, 3],
        "geo": {"city": "Gdansk", "lat": 54.35},
    },
    "DICT": {"serial": "SN-123", "pin": "77"},
}

FAILS = "evaluation error"
REFUSED = "refused when written"

WORKED = [
    (1, "TWIN.company == USER.company", True),
    (2, "USER.profession == 'accounting'", True),
    (3, "LEDGER.serial > 3", True),
    (4, 'LEDGER.serial > 3 and TWIN.kind == "pump"', True),
    (5, 'TWIN.kind == "valve" or USER.level >= 3', True),
    (6, 'not TWIN.kind == "valve"', True),
    (7, "entry_name in LEDGER.public", True),
    (8, 'entry_name not in ["temperature", "humidity"]', False),
    (9, "entry_name in LEDGER.private", FAILS),
    (10, "entry_name in (LEDGER.private == null ? [] : LEDGER.private)", False),
    (11, '"press" in entry_name', False),
    (12, '"geo" in LEDGER', True),
    (13, "DICT.serial == TWIN.serial", True),
    (14, "DICT.missing == TWIN.missing", True),
    (15, "DICT.missing != null and DICT.missing == TWIN.missing", False),
    (16, "TWIN.missing == null", True),
    (17, "TWIN.missing", False),
    (18, "TWIN.a.b.c == null", True),
    (19, "USER.nick == null", True),
    (20, "USER.missing > 2", FAILS),
    (21, "USER.missing >= null", True),
    (22, 'USER.level == "3"', False),
    (23, 'USER.level != "3"', True),
    (24, "USER.company > 2", FAILS),
    (25, "USER.active", True),
    (26, "USER.active == 1", False),
    (27, "USER.level == 3.0", True),
    (28, "0.1 + 0.2 == 0.3", True),
    (29, "LEDGER.serial % 2 == 1 and LEDGER.serial // 2 == 2", True),
    (30, "LEDGER.serial / 0 > 1", FAILS),
    (31, 'LEDGER.geo.city == "Gdansk"', True),
    (32, 'LEDGER["geo"]["lat"] > 54', True),
    (33, "LEDGER.readings[0] == 1 and LEDGER.readings[-1] == 3", True),
    (34, "LEDGER.readings[9] == 1", FAILS),
    (35, "LEDGER.readings&[9] == null", True),
    (36, 'LEDGER["missing"] == null', FAILS),
    (37, 'LEDGER&["missing"] == null', True),
    (38, 'USER.keys == "k-77"', False),
    (39, 'USER["keys"] == "k-77"', True),
    (40, 'TWIN.serial =~ "SN-[0-9]+$"', True),
    (41, 'TWIN.serial =~ "123"', False),
    (42, 'TWIN.serial =~~ "123"', True),
    (43, 'TWIN.missing !~ ".*"', True),
    (44, 'TWIN.year =~ "2021"', FAILS),
    (45, "USER.regions.length == 2 and not USER.regions.is_empty", True),
    (46, 'TWIN.kind.as_upper == "PUMP"', True),
    (47, "now - value_changed_ts < 3600", True),
    (48, "value_changed_ts == 1707997392.123", True),
    (49, "account == ledger", False),
    (50, 'twin_status == "alive"', True),
    (51, "LEDGER.serial > 3 ? USER.active : false", True),
    (52, "[x for x in LEDGER.readings if x > 2] == [3]", True),
    (53, '$any([r == "north" for r in USER.regions])', True),
    (54, "true", True),
    (55, "True", False),
    (56, "public", False),
    (57, "USER.company = 'acme'", REFUSED),
    (58, "USER.company == 'acme' && USER.active", REFUSED),
    (59, "1 < USER.level < 5", REFUSED),
    (60, '"a" > 1', REFUSED),
    (61, 'TWIN.kind == "pump" # shared with pumps only', True),
    (62, "USER.level > 2 or USER.company > 2", True),
    (63, "USER.company > 2 or USER.level > 2", FAILS),
]


@pytest.mark.parametrize(
    ("number", "text", "expected"), WORKED, ids=[str(row[0]) for row in WORKED]
)
def test_worked_example(number, text, expected):
    if expected is REFUSED:
        with pytest.raises(RuleError):
            compile_rule(text)
        return
    rule = compile_rule(text)
    if expected is FAILS:
        with pytest.raises(RuleError):
            rule.value(VARIABLES)
        assert rule.verdict(VARIABLES) is False
    else:
        assert rule.verdict(VARIABLES) is expected
