"""Notifications: subscribing to topics, and who may publish to them."""

from __future__ import annotations

import re
from typing import Any

from ttorm.emulator.answers import Fault
from ttorm.emulator.body import (
    check_array,
    check_fields,
    check_text,
    check_topic,
    check_uuid,
)
from ttorm.emulator.call import Call
from ttorm.emulator.callbacks import MAX_URL, Callback, CallbackError, read_url
from ttorm.emulator.deliveries import add_confirmation
from ttorm.emulator.handlers import handles
from ttorm.emulator.subscriptions import (
    MAX_SUBSCRIPTIONS,
    Purpose,
    SubscriptionRow,
    TokenError,
    grant,
    granted,
    purge,
    read_token,
)

__all__ = ["CLIENT_SECRET", "MAX_SECONDS"]

MAX_SECONDS = 604_800
"""Longest life of a subscription in seconds, and the one it has when nothing else is said."""
CLIENT_SECRET = re.compile(r"[0-9A-Za-z_-]{16}")
"""What a subscriber gives to have its messages hashed."""


@handles("webhook_subscribe")
def webhook_subscribe(call: Call) -> dict[str, Any]:
    """Make a subscription, which gets messages as soon as its receiver has confirmed it."""
    body = call.require_body()
    check_fields(
        body,
        {"callback_url", "topic", "client_secret", "expires"},
        required=("callback_url", "topic"),
    )
    callback = _read_callback(body["callback_url"])
    secrets = _read_secrets(call, body)
    subscription = SubscriptionRow(
        uuid=call.world.ids.uuid(),
        account=call.account,
        topic=check_topic(body["topic"], "'topic'"),
        callback_url=body["callback_url"],
        target=f"{callback.host} {callback.port}",
        origin=call.origin,
        client_secret=secrets[0],
        server_secret=secrets[1],
        confirmed=False,
        number=0,
        validity_ts=_read_validity(call, body),
    )
    purge(call.tx, call.now)
    _check_number(call)
    subscription.insert(call.tx)
    add_confirmation(call, subscription)
    call.afterwards.append(call.world.background.wake)
    return {
        "callback_url": subscription.callback_url,
        "subscription": subscription.shown(),
        **_server_secret(subscription),
    }


def _read_callback(value: Any) -> Callback:
    url = check_text(value, "'callback_url'", MAX_URL)
    try:
        return read_url(url)
    except CallbackError as error:
        raise Fault(400589, f"'callback_url' is no address of a callback: {error}.") from None


def _read_secrets(call: Call, body: dict[str, Any]) -> tuple[str | None, str | None]:
    """Read the subscriber's secret, and make the emulator's; without the one there is no other."""
    secret = body.get("client_secret")
    if secret is None:
        return None, None
    if isinstance(secret, str) and CLIENT_SECRET.fullmatch(secret):
        return secret, call.world.ids.server_secret()
    # What was sent is not told: it may be a good secret with a slip.
    raise Fault(400589, "'client_secret' must be 16 letters, digits, '-' and '_'.")


def _read_validity(call: Call, body: dict[str, Any]) -> float:
    seconds = body.get("expires")
    if seconds is None:
        seconds = MAX_SECONDS
    if type(seconds) is not int or not 1 <= seconds <= MAX_SECONDS:
        raise Fault(400589, f"'expires' must be a whole number of seconds, 1 to {MAX_SECONDS}.")
    return round(call.now + seconds, 3)


def _check_number(call: Call) -> None:
    (row,) = call.tx.rows(
        "SELECT COUNT(*) AS number FROM subscriptions WHERE account = ?", call.account
    )
    if row["number"] >= MAX_SUBSCRIPTIONS:
        raise Fault(400141, f"An account may have {MAX_SUBSCRIPTIONS} subscriptions at a time.")


def _server_secret(subscription: SubscriptionRow) -> dict[str, str]:
    secret = subscription.server_secret
    return {} if secret is None else {"server_secret": secret}


def _find(call: Call, purpose: Purpose) -> SubscriptionRow:
    """Read the subscription that the token in the query is for."""
    token = call.text("token")
    if not token:
        raise Fault(400589, "'token' is missing from the query.")
    account = call.args["account"].lower()
    try:
        uuid = read_token(call.world.vault, token, account, purpose)
    except TokenError:
        raise Fault(400793, "'token' is not the token of a subscription.") from None
    row = call.tx.row(
        "SELECT * FROM subscriptions WHERE uuid = ? AND validity_ts > ?", uuid or "", call.now
    )
    if row is None:
        # The same text whatever is wrong, so that guessing tells nothing.
        raise Fault(404653, "There is no such subscription, or it is over.")
    return SubscriptionRow.from_row(row)


@handles("webhook_confirm_subscription", writes=True)
def webhook_confirm_subscription(call: Call) -> dict[str, Any]:
    """Confirm a subscription; doing so again changes nothing."""
    subscription = _find(call, "confirm")._replace(confirmed=True)
    subscription.update(call.tx)
    return {"subscription": subscription.shown(call.world.vault)}


@handles("webhook_refresh_subscription")
def webhook_refresh_subscription(call: Call) -> dict[str, Any]:
    """Let a subscription live longer, counted from now, with or without hashes from now on."""
    body = call.body or {}
    check_fields(body, {"client_secret", "expires"})
    client_secret, server_secret = _read_secrets(call, body)
    validity_ts = _read_validity(call, body)
    subscription = _find(call, "refresh")
    if not subscription.confirmed:
        raise Fault(400592, "The subscription has to be confirmed first.")
    subscription = subscription._replace(
        client_secret=client_secret, server_secret=server_secret, validity_ts=validity_ts
    )
    subscription.update(call.tx)
    return {
        "callback_url": subscription.callback_url,
        "subscription": subscription.shown(call.world.vault),
        **_server_secret(subscription),
    }


@handles("webhook_unsubscribe")
def webhook_unsubscribe(call: Call) -> dict[str, Any]:
    """End a subscription; what was not sent yet is not sent any more."""
    subscription = _find(call, "unsubscribe")
    subscription.delete(call.tx)
    return {"subscription": subscription.shown()}


@handles("get_notifications_access")
def get_notifications_access(call: Call) -> dict[str, Any]:
    """Show which other accounts have access to topics of the caller's account."""
    accounts = granted(call.tx, call.account)
    return {"accounts": {account: {"topics": topics} for account, topics in accounts.items()}}


@handles("update_notifications_account_access")
def update_notifications_account_access(call: Call) -> dict[str, Any]:
    """Say to which topics another account has access, instead of what was said before."""
    body = call.require_body()
    check_fields(body, {"topics", "publish"})
    # The documentation calls the field "publish", the official client "topics".
    fields = [name for name in ("topics", "publish") if name in body]
    if len(fields) != 1:
        raise Fault(400589, "The body needs 'topics', a list of topics.")
    topics = [check_topic(topic, "a topic") for topic in check_array(body[fields[0]], "'topics'")]
    grantee = check_uuid(call.args["account"], "the account in the path")
    if grantee == call.account:
        raise Fault(400897, "An account has access to its own topics anyway.")
    topics = list(dict.fromkeys(topics))
    grant(call.tx, call.account, grantee, topics)
    return {"topics": topics}
