"""Messages as the platform sends them to callbacks, signed or not."""

from __future__ import annotations

import json
from uuid import UUID

from ttorm.api.signing import CONFIRMATION_MEMBERS, NOTIFICATION_MEMBERS, message_hash

NOW = 1_718_000_000.0
ACCOUNT = "02bb52f9-6959-46ec-a075-1a1326c8eae7"
TWIN = "085c0f9f-427e-4e23-9a60-bacf6585a862"
CLIENT, SERVER = "Q2xpZW50U2VjcmV0", "U2VydmVyU2VjcmV0"
URL = f"https://rest.trustedtwin.com/notifications/webhooks/{ACCOUNT}?token="
JSON = {"content-type": "application/json"}


class Sender:
    """Writes messages as the platform does."""

    def __init__(self):
        self.count = 0

    def notification(self, **members):
        self.count += 1
        return {
            "type": "Notification",
            "trigger": "ledger.entry.updated",
            "message": str(UUID(int=self.count)),
            "twin": TWIN,
            "event": {"celsius": {"new_value": 31, "old_value": 12.5, "changed_ts": NOW - 1}},
            "sent_ts": NOW - 0.5,
            "subscription": {
                "topic": "hot",
                "account": ACCOUNT,
                "validity_ts": NOW + 3_600,
                "unsubscribe_url": f"{URL}VU5TVUI%3D",
                "refresh_url": f"{URL}UkVG",
            },
            **members,
        }

    def confirmation(self, **members):
        message = self.notification()
        subscription = {
            name: value
            for name, value in message["subscription"].items()
            if not name.endswith("url")
        }
        return {
            "type": "Confirmation",
            "message": message["message"],
            "sent_ts": NOW - 0.5,
            "confirmation_url": f"{URL}Q09O",
            "subscription": subscription,
            **members,
        }

    def sign(self, message, key=CLIENT + SERVER, members=None):
        """Give the body of a message, signed."""
        if members is None:
            confirms = "confirmation_url" in message
            members = CONFIRMATION_MEMBERS if confirms else NOTIFICATION_MEMBERS
        texts = [json.dumps(message[name]) for name in members if name in message]
        return json.dumps({**message, "hash": message_hash(texts, key)}).encode()
