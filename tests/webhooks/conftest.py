"""A receiver of one subscription, and messages that the platform would sign for it."""

from __future__ import annotations

import pytest
from platform_messages import CLIENT, NOW, SERVER, Sender

import ttorm
from ttorm import Subscription
from ttorm.connection import opening
from ttorm.webhooks import Receiver


@pytest.fixture
def sender():
    return Sender()


class Nowhere:
    """A transport whose every request is a surprise."""

    def __init__(self):
        self.requests = []

    def send(self, request):
        self.requests.append(request)
        raise AssertionError(f"{request.method} was sent")

    asend = send

    def close(self):
        """Nothing is open."""


@pytest.fixture
def transport():
    return Nowhere()


@pytest.fixture
def connection(transport, monkeypatch):
    monkeypatch.setattr(opening, "_default", None)
    return ttorm.connect("https://rest.trustedtwin.com", secret="s", transport=transport)


@pytest.fixture
def subscription(connection):
    """A subscription that was confirmed."""
    made = Subscription("hot", "https://hooks.example.test/tt", CLIENT)
    answer = {"server_secret": SERVER, "subscription": Sender().notification()["subscription"]}
    made._absorb(answer)
    made.confirmed = True
    return made


@pytest.fixture
def new_receiver(subscription):
    """Make receivers that know the subscription."""

    def new_receiver(**options):
        receiver = Receiver(**{"clock": lambda: NOW, **options})
        receiver.store.put(subscription)
        return receiver

    return new_receiver


@pytest.fixture
def receiver(new_receiver):
    return new_receiver()


@pytest.fixture
def heard():
    """The messages that receivers of signals were given."""
    messages = []

    def note(sender, *, message, **extra):
        messages.append(message)

    with ttorm.signals.notification.connected_to(note):
        yield messages
