"""Shapes of Stickers, batches and notifications."""

from __future__ import annotations

from ttorm.api.operations import OPERATIONS
from ttorm.emulator.batches import STATUSES
from ttorm.emulator.callbacks import MAX_URL
from ttorm.emulator.handlers.batches import CANCEL, HASH, can_be_batched
from ttorm.emulator.handlers.notifications import CLIENT_SECRET, MAX_SECONDS
from ttorm.emulator.handlers.stickers import LONGEST_NOTE, MOST_RECIPIENTS, OCCASIONS
from ttorm.emulator.openapi.schema import (
    Schema,
    Shape,
    array,
    choice,
    named,
    nullable,
    record,
    ref,
    text,
)

__all__ = ["SCHEMAS", "SHAPES"]

_UUID, _TIMESTAMP = ref("Uuid"), ref("Timestamp")
_TOPICS = array(ref("Topic"))
_NOTE: Schema = {"type": "string", "maxLength": LONGEST_NOTE, "examples": ["Check the seal"]}
_RECIPIENTS = array(_UUID, minItems=1, maxItems=MOST_RECIPIENTS)
_RECEIVED = {"validity_ts": _TIMESTAMP, "created_ts": _TIMESTAMP}
_HASH = text(HASH, "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")
_TOPIC_OR_TOPICS: Schema = {"anyOf": [_TOPICS, ref("Topic")]}

_CALLBACK: Schema = {
    "type": "string",
    "format": "uri",
    "maxLength": MAX_URL,
    "examples": ["https://hooks.example.test/tt"],
}
_EXPIRES: Schema = {
    "type": "integer",
    "minimum": 1,
    "maximum": MAX_SECONDS,
    "default": MAX_SECONDS,
    "description": "Seconds from now.",
}
_TERMS = {
    "client_secret": nullable(text(CLIENT_SECRET, "Q2xpZW50U2VjcmV0")),
    "expires": nullable(_EXPIRES),
}
_SERVER_SECRET = {"server_secret": {"type": "string", "examples": ["U2VydmVyU2VjcmV0"]}}
_SUBSCRIPTION = {"topic": ref("Topic"), "account": _UUID, "validity_ts": _TIMESTAMP}
_ADDRESS: Schema = {"type": "string", "format": "uri", "examples": ["https://host/a?token=t"]}
_LIVE = record({**_SUBSCRIPTION, "unsubscribe_url": _ADDRESS, "refresh_url": _ADDRESS})

SCHEMAS: dict[str, Schema] = {
    "Sticker": record(
        {"recipients": _RECIPIENTS, **_RECEIVED},
        {
            "note": _NOTE,
            "publish": record(optional=dict.fromkeys(OCCASIONS, _TOPICS)),
        },
        description="A Sticker as the account sees it that put it.",
    ),
    "ReceivedSticker": record(
        _RECEIVED, {"note": _NOTE}, description="A Sticker as its recipients see it."
    ),
    "NewSticker": record(
        {"recipients": {**_RECIPIENTS, "description": "UUIDs of users, roles and accounts."}},
        {
            "note": nullable(_NOTE),
            "publish": nullable(record(optional=dict.fromkeys(OCCASIONS, _TOPIC_OR_TOPICS))),
            "validity_ts": nullable(_TIMESTAMP),
        },
    ),
    "Batch": record(
        {
            "batch": _UUID,
            "status": choice(STATUSES),
            "created_ts": _TIMESTAMP,
            "updated_ts": _TIMESTAMP,
        },
        {"hash": _HASH, "download": ref("Download")},
    ),
    "Subscription": record(
        {"callback_url": _CALLBACK, "subscription": record(_SUBSCRIPTION)}, _SERVER_SECRET
    ),
    "LiveSubscription": record({"callback_url": _CALLBACK, "subscription": _LIVE}, _SERVER_SECRET),
    "Topics": record({"topics": _TOPICS}),
}

SHAPES: dict[str, Shape] = {
    "put_sticker": Shape(
        record({"stickers": named(ref("Color"), {"anyOf": [ref("Sticker"), ref("ItemError")]})}),
        record({"stickers": named(ref("Color"), ref("NewSticker"), minProperties=1)}),
    ),
    "get_sticker": Shape(ref("Sticker")),
    "get_stickers": Shape(
        record({"accounts": named(_UUID, named(ref("Color"), ref("ReceivedSticker")))})
    ),
    "remove_sticker": Shape(record({"account": _UUID, **_RECEIVED}, {"note": _NOTE})),
    "list_stickers": Shape(
        record(
            {
                "stickers": array(
                    record(
                        {"account": _UUID, "twin": _UUID, "color": ref("Color"), **_RECEIVED},
                        {"note": _NOTE},
                    )
                )
            }
        )
    ),
    "create_batch": Shape(
        ref("Batch"),
        record(
            {
                "handler": {"type": "string"},
                "operation": choice(row.name for row in OPERATIONS.values() if can_be_batched(row)),
            },
            {"hash": nullable(_HASH), "batch_dict": nullable(ref("Description"))},
        ),
    ),
    "get_batches": Shape(
        record(
            {
                "batches": named(_UUID, choice(STATUSES)),
                "cursor": nullable({"type": "string"}),
            }
        )
    ),
    "get_batch": Shape(ref("Batch")),
    "update_batch": Shape(ref("Batch"), record({"status": choice([CANCEL])})),
    "delete_batch": Shape(ref("Batch")),
    "get_notifications_access": Shape(record({"accounts": named(_UUID, ref("Topics"))})),
    "update_notifications_account_access": Shape(
        ref("Topics"), {"anyOf": [ref("Topics"), record({"publish": _TOPICS})]}
    ),
    "webhook_subscribe": Shape(
        ref("Subscription"),
        record(
            {"callback_url": _CALLBACK, "topic": ref("Topic")},
            _TERMS,
        ),
    ),
    "webhook_confirm_subscription": Shape(record({"subscription": _LIVE})),
    "webhook_refresh_subscription": Shape(
        ref("LiveSubscription"),
        record(optional=_TERMS),
        body_needed=False,
    ),
    "webhook_unsubscribe": Shape(record({"subscription": record(_SUBSCRIPTION)})),
}
