"""Tokens: made, refreshed, and renewed by the connections that sign with them."""

from __future__ import annotations

import pickle
import threading
from datetime import UTC, datetime, timedelta

import pytest

import ttorm
from ttorm import (
    ConfigurationError,
    ForbiddenError,
    Role,
    Rules,
    Secret,
    StateError,
    Statement,
    Token,
    TokenOptions,
    Twin,
    UnauthorizedError,
    User,
    ValidationError,
    signals,
)
from ttorm.emulator.transport import EmulatorTransport
from ttorm.rules import DICT, TWIN

HOUR = timedelta(hours=1)
LATER = datetime(2040, 1, 1, tzinfo=UTC)


class Door:
    """A transport for whoever signs, which notes what was sent."""

    user = None

    def __init__(self, emulator):
        self.emulator, self._door = emulator, EmulatorTransport(emulator)
        self.lines, self.signed = [], []

    def send(self, request):
        self.lines.append(f"{request.method} {request.url.partition('localhost')[2]}")
        self.signed.append(str(request.headers.get("authorization", "")))
        return self._door.send(request)

    async def asend(self, request):
        return self.send(request)

    def close(self):
        pass

    async def aclose(self):
        pass

    def take(self):
        taken = list(self.lines)
        self.lines.clear()
        self.signed.clear()
        return taken


@pytest.fixture
def door(emulator):
    return Door(emulator)


@pytest.fixture
def signed(door, emulator):
    """Connect with a credential, at the emulator's time."""

    def signed(**options):
        connection = ttorm.connect(transport=door, **{"default": False, "cache": None, **options})
        connection.credentials._clock = emulator.clock.now
        return connection

    return signed


@pytest.fixture
def secret(connection, sent):
    """The secret of a user who may do all."""
    invitation = User.create(role=Role.create(name="Guest")).invite()
    secret = ttorm.claim(invitation.account, invitation.pin)
    sent.clear()
    return secret


# Tokens


async def test_a_token_ends_in_an_hour(do, sent):
    before = datetime.now(UTC)
    token = await do(Token, "create")
    (request,) = sent.take()
    assert (request.method, request.path) == ("POST", "/token")
    assert request.body == {"options": [], "validity_ts": request.body["validity_ts"]}
    assert abs(token.valid_until - before - HOUR) < timedelta(seconds=10)
    assert token.options == ()


async def test_what_a_token_carries(do, sent):
    token = await do(
        Token, "create", options=["refresh"], secret_dict={"serial": "SN-1"}, valid_until=LATER
    )
    assert sent.take()[0].body == {
        "options": ["refresh"],
        "secret_dict": {"serial": "SN-1"},
        "validity_ts": LATER.timestamp(),
    }
    assert (token.options, token.valid_until) == (("refresh",), LATER)


async def test_what_no_token_can_be_is_refused_before(do, sent):
    with pytest.raises(ValidationError, match="would have ended already"):
        await do(Token, "create", valid_until=datetime(2020, 1, 1, tzinfo=UTC))
    with pytest.raises(ValidationError, match="options="):
        await do(Token, "create", options=["fly"])
    with pytest.raises(ValidationError, match="options='refresh'"):
        await do(Token, "create", options="refresh")
    with pytest.raises(ValidationError, match="'No' is no description key"):
        await do(Token, "create", secret_dict={"No": 1})
    with pytest.raises(StateError, match="no option 'refresh'"):
        await do(Token("a.b.c"), "refresh")
    assert sent.lines() == []


async def test_a_refreshed_token_lives_longer(do, connection, signed, emulator):
    token = await do(Token, "create", options=["refresh"], secret_dict={"serial": "SN-1"})
    longer = await do(token, "refresh", LATER)
    assert (longer.valid_until, longer.options) == (LATER, ("refresh",))
    assert longer.key == token.key
    assert longer.value != token.value
    both = [signed(token=token), signed(token=longer)]
    assert [(await do(one, "whoami")) for one in both] == [connection.whoami()] * 2
    emulator.clock.advance(3_700)
    with pytest.raises(UnauthorizedError):
        await do(Token(token.value, options=["refresh"]), "refresh")
    assert await do(both[1], "whoami")


async def test_tokens_are_made_of_tokens(do, signed, secret):
    maker = signed(secret=secret)
    async with do.block(ttorm.session(maker)):
        parent = await do(Token, "create", options=["create"])
        plain = await do(Token, "create")
    async with do.block(ttorm.session(signed(token=parent))):
        child = await do(Token, "create", valid_until=parent.valid_until, secret_dict={"a": 1})
    assert child.options == ()
    async with do.block(ttorm.session(signed(token=plain))):
        with pytest.raises(ForbiddenError):
            await do(Token, "create")


async def test_rules_read_what_a_token_carries(do, signed, connection):
    mine = await do(Twin, "create", description={"serial": "SN-1"})
    other = await do(Twin, "create", description={"serial": "SN-2"})
    role = await do(Role, "create", rules=Rules(twin=TWIN.serial == DICT.serial))
    user = await do(User, "create", role=role)
    invitation = await do(user, "invite")
    secret = ttorm.claim(invitation.account, invitation.pin)
    shown = signed(secret=secret, tokens=TokenOptions(secret_dict={"serial": "SN-1"}))
    assert (await do(shown, "call", "get_twin", mine.uuid))["status"] == "alive"
    with pytest.raises(ForbiddenError):
        await do(shown, "call", "get_twin", other.uuid)


async def test_a_token_counts_at_the_emulators_own_door(do, connection, connect, signed, secret):
    """There nobody needs a credential, but a token says in particular who calls."""
    async with do.block(ttorm.session(signed(secret=secret))):
        token = await do(Token, "create")
        user = (await do(signed(secret=secret), "whoami"))["user"]
    assert (await do(connect(token=token), "whoami"))["user"] == user
    assert (await do(connection, "whoami"))["user"] != user


def test_a_token_does_not_show(connection):
    token = Token.create(options=["refresh"], secret_dict={"pin": "7788"})
    text = token.value.reveal()
    assert text.count(".") == 2
    assert text not in f"{token} {token!r} {token.value} {token.__class__}"
    assert "7788" not in repr(token)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(token)
    assert repr(Token("a.b.c")) == "<Token of unknown end>"
    assert "7788" not in repr(TokenOptions(secret_dict={"pin": "7788"}))


# Scopes


def test_a_token_keeps_the_scope_of_what_it_was_made_from(signed, secret):
    plain = signed(secret=secret)
    with ttorm.session(plain):
        bare, own, same, other = (
            Token.create(secret_dict=carried, options=["refresh"])
            for carried in (None, {"a": 1}, {"a": 1}, {"a": 2})
        )
    scopes = [signed(token=token).scope() for token in (bare, own, same, other)]
    assert scopes[0] == plain.scope()
    assert scopes[1] == scopes[2]
    assert len({*scopes}) == 3
    assert signed(token=own.refresh()).scope() == scopes[1]
    assert signed(secret=secret, tokens=TokenOptions()).scope() == plain.scope()
    assert signed(secret=secret, tokens=TokenOptions(secret_dict={"a": 1})).scope() == scopes[1]
    assert signed(token=own.value).scope() not in scopes
    assert signed(token=own, dictionary={"b": 1}).scope() != scopes[1]


async def test_a_token_that_has_ended_reads_nothing_that_others_keep(do, signed, secret, emulator):
    cache = ttorm.Cache()
    one = signed(secret=secret, cache=cache)
    with ttorm.session(one):
        token = Token.create(valid_until=datetime.now(UTC) + HOUR)
    two = signed(token=token, cache=cache)
    assert await do(one, "whoami") == await do(two, "whoami")
    emulator.clock.advance(3_601)
    await do(one, "whoami")
    with pytest.raises(UnauthorizedError):
        await do(two, "whoami")


def test_what_tokens_carry_stays_when_what_was_given_changes():
    """The scope is made once, tokens again and again."""
    given = {"serial": {"number": 1}}
    options = TokenOptions(secret_dict=given)
    given["serial"]["number"] = given["other"] = 2
    assert options.secret_dict == {"serial": {"number": 1}}


# Connections that renew


async def test_a_connection_makes_its_tokens(do, door, signed, secret, emulator):
    connection = signed(secret=secret, tokens=TokenOptions(lifetime=600, ahead=60))
    assert door.take() == []
    for _ in range(3):
        await do(connection, "call", "trace")
    assert secret.reveal() not in door.signed[1:]
    assert door.take() == ["POST /token", *["POST /trace"] * 3]
    emulator.clock.advance(539)
    await do(connection, "call", "trace")
    assert door.take() == ["POST /trace"]
    emulator.clock.advance(2)
    await do(connection, "call", "trace")
    assert door.take() == ["POST /token/refresh", "POST /trace"]
    emulator.clock.advance(5_000)
    await do(connection, "call", "trace")
    assert door.take() == ["POST /token", "POST /trace"]


async def test_a_connection_that_renews_makes_tokens_for_others(do, door, signed, secret):
    options = TokenOptions(secret_dict={"company": "acme"})
    connection = signed(secret=secret, tokens=options)
    async with do.block(ttorm.session(connection)):
        await do(connection, "call", "trace")
        token = await do(Token, "create", secret_dict={"company": "other", "hall": 4})
        plain = await do(Token, "create")
    assert door.take() == ["POST /token", "POST /trace", "POST /token", "POST /token"]
    # What its own tokens carry nobody sheds.
    same = [{"company": "acme", "hall": 4}, {"company": "acme"}]
    async with do.block(ttorm.session(signed(secret=secret))):
        others = [await do(Token, "create", secret_dict=carried) for carried in same]
    scopes = [signed(token=one).scope() for one in (token, plain)]
    assert scopes == [signed(token=one).scope() for one in others]
    assert scopes[1] == connection.scope()


async def test_tokens_for_others_after_somebody_else_has_rotated(do, door, signed, secret):
    connection = signed(secret=secret, tokens=TokenOptions())
    await do(connection, "call", "trace")
    await do(signed(secret=secret), "rotate")
    async with do.block(ttorm.session(connection)):
        with pytest.raises(UnauthorizedError):
            await do(Token, "create")


def test_a_receiver_may_ask_while_a_token_is_made(signed, secret):
    """The token's answer is told of before the token is there."""
    connection, asked = signed(secret=secret, tokens=TokenOptions()), []

    def ask(sender, **extra):
        signals.request_sent.disconnect(ask)
        asked.append(connection.whoami())

    signals.request_sent.connect(ask, sender=connection)
    thread = threading.Thread(target=connection.call, args=["trace"], daemon=True)
    thread.start()
    thread.join(20)
    assert [sorted(answer) for answer in asked] == [["account", "role", "user"]]


async def test_a_token_is_renewed_ahead_of_its_end(do, door, signed, secret, emulator):
    async with do.block(ttorm.session(signed(secret=secret))):
        token = await do(Token, "create", options=["refresh"])
    connection = signed(token=token)
    door.take()
    emulator.clock.advance(3_500)
    await do(connection, "call", "trace")
    assert door.take() == ["POST /trace"]
    emulator.clock.advance(50)
    await do(connection, "call", "trace")
    assert door.take() == ["POST /token/refresh", "POST /trace"]
    emulator.clock.advance(10_000)
    with pytest.raises(UnauthorizedError):
        await do(connection, "call", "trace")
    assert door.take() == ["POST /token/refresh"]


async def test_a_token_that_cannot_be_renewed_is_used_to_its_end(
    do, door, signed, secret, emulator
):
    async with do.block(ttorm.session(signed(secret=secret))):
        token = await do(Token, "create")
    connection = signed(token=token)
    door.take()
    emulator.clock.advance(3_599)
    await do(connection, "call", "trace")
    emulator.clock.advance(2)
    with pytest.raises(UnauthorizedError):
        await do(connection, "call", "trace")
    assert door.take() == ["POST /trace"] * 2


async def test_a_role_that_permits_no_tokens(do, door, connection, signed):
    role = await do(Role, "create", statement=Statement.deny("create_user_token"))
    invitation = await do(await do(User, "create", role=role), "invite")
    secret = ttorm.claim(invitation.account, invitation.pin)
    asking = signed(secret=secret, tokens=TokenOptions())
    with pytest.raises(ForbiddenError, match="POST /token "):
        await do(asking, "call", "trace")
    assert door.take() == ["POST /token"]


async def test_a_dead_secret_is_asked_once(do, door, connection, signed, secret):
    asking = signed(secret=secret, tokens=TokenOptions())
    user = (await do(asking, "whoami"))["user"]
    await do(connection, "call", "delete_user_secret", user)
    door.take()
    with pytest.raises(UnauthorizedError):
        await do(asking, "call", "trace")
    assert door.take() == ["POST /trace", "POST /token"]


async def test_renewing_counts_in_no_budget(do, signed, secret):
    asking = signed(secret=secret, tokens=TokenOptions())
    async with do.block(ttorm.session(asking)) as session, do.block(session.budget(1)) as budget:
        await do(asking, "call", "trace")
    assert budget.spent == 1


def test_options_that_do_not_fit(signed):
    with pytest.raises(ConfigurationError, match="tokens= needs"):
        signed(tokens=TokenOptions())
    with pytest.raises(ConfigurationError, match="option 'refresh'"):
        signed(token=Token("a.b.c"), tokens=TokenOptions())
    with pytest.raises(ConfigurationError, match="secret_dict"):
        signed(token=Token("a.b.c", options=["refresh"]), tokens=TokenOptions(secret_dict={"a": 1}))
    with pytest.raises(ConfigurationError, match="tokens= is a dict: expected"):
        signed(secret="s", tokens={"lifetime": 900})
    for empty in ("secret", "token"):
        with pytest.raises(ConfigurationError, match="is empty: leave it out"):
            signed(**{empty: ""})
    with pytest.raises(ConfigurationError, match="not both"):
        signed(secret="s", token=Token("a.b.c"))
    for times in ((60.0, 60.0), (HOUR, 60.0), (900.0, float("nan")), (float("inf"), 60.0)):
        with pytest.raises(ConfigurationError, match="expected two numbers, ahead shorter"):
            TokenOptions(*times)
    with pytest.raises(ValidationError):
        TokenOptions(secret_dict={"No": 1})
    with pytest.raises(ConfigurationError, match="no header can carry"):
        signed(token="ä.b.c")
    with pytest.raises(ConfigurationError, match="no header can carry"):
        signed(token=Token("a.b\n.c"))


def test_a_connection_does_not_show_what_signs(signed, secret):
    connection = signed(secret=secret, tokens=TokenOptions())
    connection.call("trace")
    shown = f"{connection!r} {connection.credentials!r} {connection.credentials.current!r}"
    token = connection.credentials.current.text.reveal()
    assert secret.reveal() not in shown
    assert token not in shown
    assert connection.secret == Secret(secret)


async def test_what_a_token_carries_is_a_dictionary(do, connection):
    before = connection.requests
    with pytest.raises(ttorm.ValidationError, match=r"secret_dict=\['a'\]: expected a dictionary"):
        await do(Token, "create", secret_dict=["a"])
    assert connection.requests == before
