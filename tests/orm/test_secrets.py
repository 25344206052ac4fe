"""Secrets of users: PINs and their exchange, validity, and rotation under way."""

from __future__ import annotations

import asyncio
import pickle
import threading
import time
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

import ttorm
from ttorm import (
    ConfigurationError,
    ForbiddenError,
    Invitation,
    NotFoundError,
    OutcomeUnknownError,
    Role,
    Secret,
    SecretNotStoredError,
    StateError,
    Statement,
    TokenOptions,
    TransportError,
    UnauthorizedError,
    User,
    UserSecret,
    ValidationError,
)
from ttorm.emulator.transport import EmulatorTransport

ABSENT = "e0f727d6-704b-4d8a-9c10-ac726a3b8a94"
LATER = datetime(2040, 1, 1, tzinfo=UTC)
PATIENCE = 20


@pytest.fixture
def ann(connection, sent):
    """A user without a secret."""
    ann = User.create(role=Role.create(name="Guest"), name="Ann")
    sent.clear()
    return ann


@pytest.fixture
def signed(emulator):
    """Connect with a secret, as a program elsewhere would: ``signed(secret, **options)``."""
    made = []

    def signed(secret, **options):
        transport = Watched(EmulatorTransport(emulator))
        options = {"default": False, **options}
        made.append(ttorm.connect(transport=transport, secret=secret, **options))
        return made[-1]

    return signed


class Watched:
    """A transport that notes what is sent and how it is answered."""

    def __init__(self, transport):
        self.emulator, self.transport = transport.emulator, transport
        self.lines = []
        self.meddle = lambda line: None

    def send(self, request):
        line = f"{request.method} {request.url.partition('localhost')[2].split('?')[0]}"
        self.meddle(line)
        answer = self.transport.send(request)
        self.lines.append((line, answer.status))
        return answer

    async def asend(self, request):
        return self.send(request)

    def close(self):
        pass

    async def aclose(self):
        pass


@pytest.fixture
def secret(ann, sent):
    invitation = ann.invite()
    secret = ttorm.claim(invitation.account, invitation.pin)
    sent.clear()
    return secret


@pytest.fixture
def claim(world):
    """Claim in the test's world."""

    async def claim(*arguments, **options):
        if world.asynchronous:
            return await ttorm.aclaim(*arguments, **options)
        return ttorm.claim(*arguments, **options)

    return claim


# PINs


async def test_a_pin_is_exchanged_for_the_secret_once(do, claim, ann, sent, signed):
    before = datetime.now(UTC)
    invitation = await do(ann, "invite", LATER)
    assert sent.take() == [
        ("POST", f"/users/{ann.uuid}/secrets", (), {"validity_ts": LATER.timestamp()})
    ]
    assert (invitation.account, invitation.user) == (ann.account, ann.uuid)
    assert invitation.valid_until == LATER
    ten = timedelta(minutes=10)
    assert before + ten <= invitation.expires_at <= datetime.now(UTC) + ten
    secret = await claim(invitation.account, invitation.pin)
    assert sent.lines() == [f"POST /secrets/{ann.account}/{invitation.pin.reveal()}"]
    assert (await do(signed(secret), "whoami"))["user"] == ann.uuid
    with pytest.raises(NotFoundError):
        await claim(invitation.account, invitation.pin.reveal())


async def test_the_account_is_learned_before_the_pin(do, ann, sent):
    invitation = await do(User.at(ann.uuid), "invite")
    assert invitation.account == ann.account
    assert sent.lines() == [f"GET /users/{ann.uuid}", f"POST /users/{ann.uuid}/secrets"]
    with pytest.raises(NotFoundError):
        await do(User.at(ABSENT), "invite")


async def test_what_cannot_be_invited_or_claimed(do, claim, ann, sent):
    with pytest.raises(ValidationError, match="would have ended already"):
        await do(ann, "invite", datetime(2020, 1, 1, tzinfo=UTC))
    with pytest.raises(ValidationError, match="no timezone"):
        await do(ann, "invite", datetime(2040, 1, 1))  # noqa: DTZ001 # what is refused
    with pytest.raises(StateError, match="not saved yet"):
        await do(User(role=ABSENT), "invite")
    for pin in ("", "123", "ABC 12", "12/456", "A" * 64, None):
        with pytest.raises(ValidationError, match="a PIN is a short word") as caught:
            await claim(ABSENT, pin)
        assert not pin or pin not in str(caught.value)
    with pytest.raises(ValidationError, match="account"):
        await claim("mine", "ABC123")
    assert sent.lines() == []


def test_an_invitation_does_not_show_its_pin(connection, ann):
    invitation = ann.invite()
    assert invitation.pin.reveal() not in f"{invitation} {invitation!r}"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(invitation)


async def test_where_a_claim_goes(do, claim, tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path / 'fleet.db'}"
    monkeypatch.delenv("TTORM_URL", raising=False)
    monkeypatch.setattr("ttorm.connection.opening._default", None)
    with pytest.raises(ConfigurationError, match="no URL"):
        await claim(ABSENT, "ABC123")
    with ttorm.connect(url, default=False) as admin, ttorm.session(admin):
        bea = User.create(role=Role.create(name="Guest"))
        first, second, third = [bea.invite() for _ in range(3)]
        with pytest.raises(NotFoundError):  # the next PIN has ended it
            await claim(first.account, first.pin, url=url)
        secret = await claim(third.account, third.pin, url=url)
        with ttorm.connect(url, secret=secret, default=False) as own:
            assert own.whoami()["user"] == bea.uuid
        monkeypatch.setenv("TTORM_URL", url)
        again = bea.invite()
        assert await claim(again.account, again.pin) != secret
        again = bea.invite()
        assert await claim(again.account, again.pin, connection=admin)
    assert second.pin != third.pin


async def test_a_lost_answer_to_a_claim(do, claim, ann, wire):
    """If the PIN was not used, it is used now; if it was, the error says what to do."""
    invitation = await do(ann, "invite")

    def unanswered(request):
        wire.meddle = lambda request: None
        raise TransportError("reset", sent=True)

    wire.meddle = unanswered
    assert await claim(invitation.account, invitation.pin)

    invitation = await do(ann, "invite")

    def lost(request):
        wire.meddle = lambda request: None
        wire.transport.send(request)
        raise TransportError("reset", sent=True)

    wire.meddle = lost
    with pytest.raises(OutcomeUnknownError, match=r"new PIN by user\.invite\(\)") as caught:
        await claim(invitation.account, invitation.pin)
    assert invitation.pin.reveal() not in str(caught.value)


# What is known of a secret


async def test_what_is_known_of_a_secret(do, ann, secret, sent):
    known = ann.secret
    assert known is ann.secret
    await do(known, "load")
    assert sent.lines() == [f"GET /users/{ann.uuid}/secrets"]
    assert known.fingerprint == secret.reveal()[-4:]
    assert (known.user, known.account, known.valid_until) == (ann.uuid, ann.account, None)
    assert known.created_at == known.updated_at
    assert await do(UserSecret, "get", ann.uuid) == known
    with pytest.raises(TypeError, match=r"user\.invite\(\)"):
        UserSecret()


async def test_the_validity_of_a_secret(do, ann, secret, sent, signed):
    await do(ann.secret, "load")
    ann.secret.valid_until = LATER
    sent.clear()
    assert (await do(ann.secret, "save")).updated == ("valid_until",)
    assert sent.take() == [
        ("PATCH", f"/users/{ann.uuid}/secrets", (), {"validity_ts": LATER.timestamp()})
    ]
    assert (await do(ann.secret, "save")).requests == 0
    ann.secret.valid_until = None
    await do(ann.secret, "save")
    assert sent.take()[0].body == {"validity_ts": None}
    ann.secret.valid_until = datetime(2020, 1, 1, tzinfo=UTC)
    await do(ann.secret, "save")
    with pytest.raises(UnauthorizedError):
        await do(signed(secret), "whoami")


async def test_a_secret_is_deleted(do, ann, secret, signed):
    known = ann.secret
    assert (await do(known, "delete")).deleted == (ann.uuid,)
    with pytest.raises(UnauthorizedError):
        await do(signed(secret), "whoami")
    with pytest.raises(NotFoundError):
        await do(ann.secret, "load")
    with pytest.raises(StateError, match=r"user\.invite\(\)"):
        await do(known, "save")


async def test_a_user_without_a_secret(do, ann):
    with pytest.raises(NotFoundError):
        await do(ann.secret, "load")


# Rotation


async def test_rotation(do, ann, secret, signed):
    connection = signed(secret)
    kept = []
    new = await do(connection, "rotate", LATER, store=kept.append)
    assert kept == [new]
    assert new != secret
    assert connection.secret == new
    assert connection.transport.lines[0] == ("GET /whoami", 200)
    assert [status for _, status in connection.transport.lines] == [200, 201, 201]
    assert (
        await do(
            connection,
            "whoami",
        )
    )["user"] == ann.uuid
    await do(ann.secret, "refresh")
    assert (ann.secret.fingerprint, ann.secret.valid_until) == (new.reveal()[-4:], LATER)
    with pytest.raises(UnauthorizedError):
        await do(signed(secret), "whoami")


async def test_rotation_changes_the_scope_and_drops_what_was_kept(do, secret, signed):
    connection = signed(secret)
    await do(connection, "whoami")
    old = connection.scope()
    await do(connection, "rotate")
    assert connection.scope() != old
    connection.transport.lines.clear()
    await do(connection, "whoami")
    assert connection.transport.lines == [("GET /whoami", 200)]


async def test_connections_without_a_secret_do_not_rotate(do, connection, signed, sent):
    with pytest.raises(StateError, match="has no secret"):
        await do(connection, "rotate")
    with pytest.raises(ValidationError, match="would have ended"):
        await do(signed("x"), "rotate", 1.0)
    assert sent.lines() == []


async def test_a_user_who_may_not_keeps_the_old_secret(do, ann, claim, signed):
    ann.role = await do(Role, "create", statement=Statement.deny("create_user_secret_pin"))
    await do(ann, "save")
    invitation = await do(ann, "invite")
    connection = signed(await claim(invitation.account, invitation.pin))
    secret = connection.secret
    with pytest.raises(ForbiddenError):
        await do(connection, "rotate")
    assert connection.secret == secret
    await do(connection, "call", "trace")


async def test_nothing_is_lost_when_storing_fails(do, secret, signed):
    connection = signed(secret)

    def full(secret):
        raise OSError("disk full")

    with pytest.raises(SecretNotStoredError, match="OSError") as caught:
        await do(connection, "rotate", store=full)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.secret == connection.secret != secret
    assert caught.value.secret.reveal() not in f"{caught.value} {caught.value!r}"
    await do(connection, "call", "trace")


async def test_what_cannot_store_is_refused_before_the_old_secret_ends(do, secret, signed):
    connection = signed(secret)
    before = connection.requests
    with pytest.raises(ValidationError, match=r"store='vault': expected a function"):
        await do(connection, "rotate", store="vault")
    assert (connection.secret, connection.requests) == (secret, before)


async def test_the_store_may_use_the_connection(do, world, secret, signed):
    connection, kept = signed(secret), []

    def store(secret):
        connection.call("trace")
        kept.append(secret)

    async def astore(secret):
        await connection.acall("trace")
        kept.append(secret)

    new = await do(connection, "rotate", store=astore if world.asynchronous else store)
    assert kept == [new]


class Vault:
    async def __call__(self, secret):
        """Never gets here."""


@pytest.mark.parametrize("wrap", [lambda store: store, partial])
@pytest.mark.parametrize("store", [Vault(), Vault().__call__])
def test_a_store_that_only_a_loop_can_run(secret, signed, store, wrap):
    connection = signed(secret)
    before = connection.requests
    with pytest.raises(ttorm.StateError, match=r"coroutine function.* write await .*arotate"):
        connection.rotate(store=wrap(store))
    assert (connection.secret, connection.requests) == (secret, before)


def test_a_store_that_turns_out_to_need_a_loop(secret, signed):
    connection = signed(secret)
    with pytest.raises(SecretNotStoredError) as caught:
        connection.rotate(store=lambda secret: Vault().__call__(secret))
    assert caught.value.secret == connection.secret


async def test_a_rotation_whose_answer_is_lost(do, secret, signed):
    connection = signed(secret)

    def lose(line):
        if line.startswith("POST /secrets/"):
            connection.transport.meddle = lambda line: None
            raise TransportError("reset", sent=True)

    connection.transport.meddle = lose
    assert await do(connection, "rotate") == connection.secret != secret


def test_requests_that_the_rotation_overtakes_are_sent_again(secret, signed):
    """They were signed with the old secret, and arrive after the exchange."""
    connection = signed(secret, cache=None)
    waiting, go = threading.Barrier(9), threading.Event()

    def hold(line):
        if line == "POST /trace" and not go.is_set():
            waiting.wait(PATIENCE)
            assert go.wait(PATIENCE)

    connection.transport.meddle = hold
    outcomes = []
    threads = [
        threading.Thread(target=lambda: outcomes.append(connection.call("trace"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    waiting.wait(PATIENCE)
    connection.rotate(store=lambda _: go.set())
    for thread in threads:
        thread.join(PATIENCE)
    assert outcomes == [{}] * 8
    traces = [status for line, status in connection.transport.lines if line == "POST /trace"]
    assert sorted(traces) == [201] * 8 + [401] * 8


def test_a_refusal_during_the_exchange_waits_for_the_new_secret(secret, signed):
    connection = signed(secret, cache=None)
    exchanged, outcomes = threading.Event(), []

    class Slow(EmulatorTransport):
        """Keeps the answer with the new secret back, while the old one is refused."""

        def send(self, request):
            answer = super().send(request)
            if "/secrets/" in request.url:
                exchanged.set()
                time.sleep(0.2)
            return answer

    connection.transport.transport = Slow(connection.emulator)
    rotating = threading.Thread(target=connection.rotate)
    rotating.start()
    assert exchanged.wait(PATIENCE)
    outcomes.append(connection.call("trace"))
    rotating.join(PATIENCE)
    assert outcomes == [{}]
    assert ("POST /trace", 401) in connection.transport.lines


def test_many_who_rotate_share_one_rotation(secret, signed):
    connection = signed(secret)
    barrier, found = threading.Barrier(12), []

    def rotate():
        barrier.wait(PATIENCE)
        found.append(connection.rotate())

    async def loop():
        await asyncio.to_thread(barrier.wait, PATIENCE)
        found.extend(await asyncio.gather(*(connection.arotate() for _ in range(10))))

    threads = [threading.Thread(target=rotate) for _ in range(11)]
    threads.append(threading.Thread(target=lambda: asyncio.run(loop())))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    exchanges = [line for line, _ in connection.transport.lines if line.startswith("POST /secrets")]
    # Some may come when the first rotation is over; all have what is in force, or was then.
    assert len(found) == 21
    assert len(exchanges) < 21
    assert connection.secret in found
    assert connection.call("trace") == {}


async def test_a_refusal_is_not_repeated_for_ever(do, secret, signed):
    connection = signed(secret)
    connection.emulator.clock.advance(1)
    gone = signed(Secret("x" * 64))
    with pytest.raises(UnauthorizedError):
        await do(gone, "call", "trace")
    assert gone.transport.lines == [("POST /trace", 401)]


def test_a_cancelled_task_keeps_the_new_secret(secret, emulator):
    """Its answer cannot be had again: it is waited for, used and stored, and then the task ends."""
    exchanging = asyncio.Event()

    class Slow(EmulatorTransport):
        async def asend(self, request):
            answer = self.send(request)
            if "/secrets/" in request.url:
                exchanging.set()
                await asyncio.sleep(0.2)
            return answer

    connection = ttorm.connect(transport=Slow(emulator), secret=secret, default=False)
    kept = []

    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await connection.arotate(store=kept.append)
        exchanging.clear()
        rotating = asyncio.create_task(connection.arotate(store=kept.append))
        await exchanging.wait()
        rotating.cancel()
        await asyncio.sleep(0)
        rotating.cancel()
        with pytest.raises(asyncio.CancelledError):
            await rotating
        before = connection.secret

        async def store(secret):
            kept.append("never")

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await connection.arotate(store=store)
        assert connection.secret != before
        kept.append(connection.secret)
        return await connection.acall("trace")

    assert asyncio.run(main()) == {}
    assert len(set(kept)) == 3
    assert "never" not in kept
    assert kept[-1] == connection.secret != secret


async def test_rotation_with_tokens(do, secret, signed):
    connection = signed(secret, tokens=TokenOptions(secret_dict={"team": "ops"}), cache=None)
    await do(connection, "call", "trace")
    scope = connection.scope()
    await do(connection, "rotate")
    assert connection.scope() != scope
    await do(connection, "call", "trace")
    lines = [line for line, _ in connection.transport.lines]
    assert lines[:4] == ["POST /token", "POST /trace", "GET /whoami", lines[3]]
    assert lines[-2:] == ["POST /token", "POST /trace"]
    assert {status for _, status in connection.transport.lines} == {200, 201}


def test_the_invitation_is_data():
    invitation = Invitation("a", "u", Secret("ABC123"), LATER)
    assert invitation == Invitation("a", "u", Secret("ABC123"), LATER)
    assert invitation.valid_until is None
