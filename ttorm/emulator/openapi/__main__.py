"""Prints the description: `python -m ttorm.emulator.openapi > docs/openapi.json`."""

from __future__ import annotations

import json
import sys

from ttorm.emulator.openapi import description

sys.stdout.write(json.dumps(description(), indent=1) + "\n")
