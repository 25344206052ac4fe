"""From a URL to a connection, and the connection used when none is named."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from ttorm.api.batches import BatchCodec
from ttorm.api.codec import JSONValue
from ttorm.api.credentials import HeldToken, Secret, masked, masked_address
from ttorm.api.errors import ConfigurationError
from ttorm.api.http import Limits
from ttorm.api.retry import RetryPolicy
from ttorm.connection.bounds import check_limits, check_time_out
from ttorm.connection.cache import Cache
from ttorm.connection.core import Connection
from ttorm.connection.credentials import Credentials, TokenOptions
from ttorm.connection.hooks import Hooks
from ttorm.connection.network import Network, check_address, injected, served
from ttorm.connection.options import check_options, check_url, several
from ttorm.connection.rotation import exchange
from ttorm.connection.watch import Watch
from ttorm.pairs import twin_of

if TYPE_CHECKING:
    from ssl import SSLContext

__all__ = ["aclaim", "claim", "connect", "default_connection"]

T = TypeVar("T")

_EMULATED = "http://emulator.localhost"
_lock = threading.RLock()
_default: Connection | None = None


def connect(
    url: str | None = None,
    *,
    secret: str | Secret | None = None,
    token: str | Secret | HeldToken | None = None,
    tokens: TokenOptions | None = None,
    dictionary: Mapping[str, JSONValue] | None = None,
    timeout: float | None = 15.0,
    cache: Cache | Literal["memory"] | None = "memory",
    retry: RetryPolicy | None = None,
    concurrency: int = 16,
    blocking: bool | None = None,
    limits: Limits | None = None,
    tls: SSLContext | None = None,
    proxy: str | None = None,
    transport: Any = None,
    default: bool = True,
    development: bool | None = None,
    batch_codec: BatchCodec | None = None,
    hooks: Iterable[Hooks] = (),
) -> Connection:
    """Connect to a service or an embedded emulator, and use it wherever no connection is named.

    Args:
        url: ``https://...`` or ``http://...`` for a service; ``memory:``, ``sqlite:///file`` or
            ``postgresql://host/database`` for the embedded emulator. Without it the environment
            variable ``TTORM_URL`` counts.
        secret: The user's secret; without secret and token ``TTORM_SECRET`` counts.
        token: A user token in place of a secret; else ``TTORM_TOKEN`` counts. A `ttorm.Token`
            with the option ``"refresh"`` is renewed ahead of its end. The emulator signs in as its
            account's first user when neither is given.
        tokens: With a secret: sign with tokens made of it, which are renewed ahead of their ends.
            With a `ttorm.Token`: how it is renewed.
        dictionary: The request dictionary, which access rules read as ``DICT``.
        timeout: Seconds to wait for each piece of an answer; None waits for ever.
        cache: The cache of reads; ``"memory"`` makes one (30 seconds), None has none.
        retry: When requests are sent again.
        concurrency: Most requests under way at once in one bulk operation.
        blocking: Whether reading an attribute may wait under a running event loop. The default
            refuses, except inside an IPython kernel.
        limits: All time-outs and bounds of the network, in place of `timeout`.
        tls: Whom to trust in place of the machine's certificate authorities. Certificates are
            always checked, unless this context says otherwise: that is warned of.
        proxy: Address of a proxy; by default what ``HTTPS_PROXY`` and its kin say.
        transport: A `ttorm.api.http.Transport`, or a transport of the HTTP library, to use in
            place of the network.
        default: Whether this becomes the default connection.
        development: Warn of loops that send one request for each object
            (`NPlusOneWarning`); by default when the environment has ``TTORM_DEVELOPMENT=1``.
        batch_codec: Writes and reads the files of batches, whose format the service does not
            publish; without it, batches work with the embedded emulator only. Provisional.
        hooks: Who is told of each call and save, see `Hooks`.

    Raises:
        ConfigurationError: There is no URL, or no credential for a service that needs one; or an
            option is not what it should be.

    Example:
        >>> connection = ttorm.connect("memory:")
        >>> connection
        <Connection memory:>
    """
    global _default  # noqa: PLW0603 # the default connection is process-wide by design
    # Before anything is raised here: tracebacks show locals.
    secret, token = _wrapped(secret), _wrapped(token)
    proxy = masked(proxy) if isinstance(proxy, str) else proxy
    check_url(url)
    url = masked_address(url or os.environ.get("TTORM_URL") or "")
    check_options(
        tokens=tokens,
        dictionary=dictionary,
        cache=cache,
        concurrency=concurrency,
        blocking=blocking,
        tls=tls,
        proxy=proxy,
        transport=transport,
        default=default,
        development=development,
        batch_codec=batch_codec,
    )
    if not url and transport is None:
        raise ConfigurationError(
            "no URL: write ttorm.connect('sqlite:///file.db') for the embedded emulator, "
            "ttorm.connect('https://rest.trustedtwin.com', secret=...) for the service, "
            "or set TTORM_URL"
        )
    held = _credential(secret, token)
    if tokens is not None:
        _check_tokens(tokens, held)
    if limits is None:
        check_time_out("timeout", timeout)
        limits = Limits(read=timeout, write=timeout)
    check_limits(limits)
    network = Network(limits, tls, proxy)
    parts = _open(url or _EMULATED, signed=held is not None, network=network, transport=transport)
    connection = Connection(
        credentials=_credentials(held, parts.pop("principal"), tokens),
        dictionary=dictionary,
        cache=Cache() if cache == "memory" else cache,
        retry=retry,
        concurrency=concurrency,
        blocking=blocking,
        watch=_watch(development),
        batch_codec=batch_codec,
        hooks=several(hooks),
        **parts,
    )
    if default:
        with _lock:
            _default = connection
    return connection


def default_connection() -> Connection:
    """Return the connection of the last `connect`, or make one from ``TTORM_URL``.

    Raises:
        ConfigurationError: There is none and the environment names none.
    """
    with _lock:
        if _default is None:
            if not os.environ.get("TTORM_URL"):
                raise ConfigurationError(
                    "there is no connection yet: call ttorm.connect(...) first, or set TTORM_URL"
                )
            return connect()
        return _default


def _watch(development: bool | None) -> Watch | None:
    if development is None:
        development = os.environ.get("TTORM_DEVELOPMENT", "") not in ("", "0")
    return Watch() if development else None


def claim(
    account: str,
    pin: str | Secret,
    *,
    url: str | None = None,
    connection: Connection | None = None,
) -> Secret:
    """Exchange a PIN for the secret it stands for, which ends the user's old one.

    It needs no credential, works once, and within 10 minutes of the PIN's making. Nobody can read
    the secret again: keep it.

    Args:
        account: UUID of the account.
        pin: The PIN that `User.invite` gave somebody.
        url: Address of the service or store; without it and a connection, that of the default
            connection or the environment variable ``TTORM_URL``.
        connection: Whom to ask in place of a URL.

    Returns:
        The secret, for ``ttorm.connect(url, secret=...)``.

    Raises:
        ConfigurationError: There is no URL.
        NotFoundError: There is no such PIN, or it was used or is over.
        OutcomeUnknownError: The answer was lost; a new PIN is needed.
        ValidationError: That is no account or PIN.

    Example:
        >>> invitation = User.create(name="Ann", role=Role.create(name="Guest")).invite()
        >>> ttorm.claim(invitation.account, invitation.pin)
        Secret('***')
    """
    pin, url = _wrapped(pin), masked_address(url) if isinstance(url, str) else url
    with _unsigned(url, connection) as asked:
        return asked.run(exchange(asked, account, pin))


@twin_of(claim)
async def aclaim(
    account: str,
    pin: str | Secret,
    *,
    url: str | None = None,
    connection: Connection | None = None,
) -> Secret:
    pin, url = _wrapped(pin), masked_address(url) if isinstance(url, str) else url
    async with _unsigned(url, connection) as asked:
        return await asked.arun(exchange(asked, account, pin))


def _unsigned(
    url: str | None, connection: Connection | None
) -> Connection | nullcontext[Connection]:
    """Give a connection for a call without a credential; leaving it closes what is not shared."""
    check_url(url)
    if connection is not None and not isinstance(cast(object, connection), Connection):
        raise ConfigurationError(
            f"connection= is a {type(connection).__name__}: expected a Connection, such as "
            "ttorm.connect(...) returns"
        )
    shared = connection if url or connection else _default
    if shared is not None:
        return nullcontext(shared)
    url = masked_address(url or os.environ.get("TTORM_URL") or "")
    if not url:
        raise ConfigurationError(
            "no URL: write ttorm.claim(account, pin, url='https://rest.trustedtwin.com'), "
            "or set TTORM_URL"
        )
    parts = _open(url, signed=True, network=Network(), transport=None)
    return Connection(credentials=Credentials(principal=parts.pop("principal")), **parts)


def _check_tokens(tokens: TokenOptions, held: Secret | HeldToken | None) -> None:
    if isinstance(held, HeldToken) and ("refresh" not in held.options or tokens.secret_dict):
        raise ConfigurationError(
            "tokens= renews a Token with the option 'refresh', and leaves its secret_dict as it "
            "is: write Token.create(options=['refresh'], secret_dict=...), or connect with secret="
        )
    if held is None:
        raise ConfigurationError(
            "tokens= needs what tokens are made of: write connect(url, secret=..., tokens=...)"
        )


def _credentials(
    held: Secret | HeldToken | None, principal: str, tokens: TokenOptions | None
) -> Credentials:
    if isinstance(held, HeldToken):
        return Credentials(token=held, tokens=tokens)
    return Credentials(held, principal=principal, tokens=tokens)


def _open(url: str, *, signed: bool, network: Network, transport: Any) -> dict[str, Any]:
    scheme = url.partition(":")[0].lower()
    if transport is not None:
        return injected(url, transport, network)
    if scheme in ("memory", "sqlite", "postgresql", "postgres"):
        return _embedded(url, signed=signed)
    if scheme not in ("https", "http"):
        raise ConfigurationError(
            f"{url!r} is no URL that ttorm knows: expected https://, http://, memory:, sqlite:/// "
            "or postgresql://"
        )
    check_address(url)
    if not signed:
        raise ConfigurationError(
            f"{url} needs a credential: write ttorm.connect(url, secret=...) or token=..., "
            "or set TTORM_SECRET or TTORM_TOKEN"
        )
    return {"principal": "", **served(url, network)}


def _wrapped(credential: T) -> T | Secret:
    return Secret(credential) if isinstance(credential, str) and credential else credential


def _credential(
    secret: str | Secret | None, token: str | Secret | HeldToken | None
) -> Secret | HeldToken | None:
    """Find the credential: what was given, or what the environment has."""
    if secret is not None and token is not None:
        raise ConfigurationError("give secret= or token=, not both")
    if "" in (secret, token):
        # An emulator would let in who has none as the account's first user.
        raise ConfigurationError(
            "the secret or token is empty: leave it out to have TTORM_SECRET or TTORM_TOKEN count"
        )
    text = None if token else secret or _wrapped(os.environ.get("TTORM_SECRET"))
    given = token or text or _wrapped(os.environ.get("TTORM_TOKEN"))
    if not given:
        return None
    if not isinstance(given, (str, Secret, HeldToken)):
        raise ConfigurationError(f"a secret or token is text, found {type(given).__name__}")
    credential = given.value if isinstance(given, HeldToken) else Secret(given)
    if not credential.reveal().isascii() or not credential.reveal().isprintable():
        raise ConfigurationError("the secret or token has characters that no header can carry")
    if isinstance(given, HeldToken):
        return given
    return credential if given is text else HeldToken(credential)


def _embedded(url: str, *, signed: bool) -> dict[str, Any]:
    from ttorm.emulator import Emulator
    from ttorm.emulator.transport import EmulatorTransport

    # It is imported with the first rule only, and every scan has one.
    if find_spec("rule_engine") is None:
        raise ConfigurationError(
            "the embedded emulator needs the extra 'local' (No module named 'rule_engine'): "
            "pip install 'ttorm[local]'"
        )
    emulator = Emulator(url)
    user = None if signed else emulator.first_user()
    return {
        # URLs of servers may hold a password.
        "url": url if emulator.store.near else emulator.address,
        "address": emulator.address,
        "base_url": _EMULATED,
        "transport": EmulatorTransport(emulator, user, owner=True),
        "principal": user or "",
        "emulator": emulator,
    }
