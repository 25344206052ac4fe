"""Scenarios over HTTP: recorded against `ttorm serve`, replayed without any network.

A scenario is a coroutine that calls verbs through ``do``. It runs twice, blocking and in an event
loop, on the same cassette; at its end `Tape.shows` compares what was sent with a literal list.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
import yaml
from vcr.serializers import yamlserializer

import ttorm
from ttorm.api.http import Upload
from ttorm.api.retry import NO_RETRIES

CASSETTES = Path(__file__).parents[2] / "cassettes"
ADDRESS = "http://127.0.0.1:8787"
"""Where cassettes say that they were recorded: the default of `ttorm serve`."""


# What cassettes keep


_KEPT_HEADERS = {"content-disposition", "content-type", "location", "retry-after", "x-trustedtwin"}
_VOLATILE = re.compile(
    r'"(?P<key>secret|client_secret|server_secret|pin|token|handler|cursor)":\s*"(?P<value>[^"]+)"'
    r"|[?&]token=(?P<token>[^&\s\"]+)"
    r"|/download/[^/\s\"]+/(?P<handler>[^/?\s\"]+)"
    r"|/secrets/[^/\s\"]+/(?P<pin>[^/?\s\"]+)"
)
_FINGERPRINT = re.compile(r'("fingerprint":\s*")[^"]*')
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME = re.compile(r"(?<![\w.])\d{10}(?:\.\d+)?(?![\w.])")
_SERVER = re.compile(r"http://127\.0\.0\.1:\d+")
_DAY = 86_400


class Renaming:
    """Replaces secrets and whatever differs between recordings, in order of appearance.

    Equal texts get equal names and later times stay later, so that the relations between the
    interactions of a cassette stay true and a new recording differs little from the old one.
    """

    def __init__(self, text: str) -> None:
        self._secrets: dict[str, str] = {}
        count: dict[str, int] = {}
        for found in _VOLATILE.finditer(text):
            [(key, value)] = (
                [(found["key"], found["value"])]
                if found["key"]
                else [(key, found[key]) for key in ("token", "handler", "pin") if found[key]]
            )
            if value not in self._secrets:
                count[key] = count.get(key, 0) + 1
                # The platform takes no secret of another length from a subscriber.
                digits = 2 if key == "client_secret" else 4
                self._secrets[value] = f"{key.upper()}-{count[key]:0{digits}}"
        uuids = dict.fromkeys(_UUID.findall(self._without_secrets(text)))
        self._uuids = {
            uuid: f"00000000-0000-4000-8000-{number:012}" for number, uuid in enumerate(uuids, 1)
        }
        moments = {float(stamp) for stamp in _TIME.findall(text)}
        recent = sorted(moment for moment in moments if abs(moment - time.time()) < _DAY)
        self._times = {moment: f"{1_700_000_000.0 + n}" for n, moment in enumerate(recent)}

    def __call__(self, text: str) -> str:
        text = _FINGERPRINT.sub(r"\g<1>0000", self._without_secrets(text))
        text = _UUID.sub(lambda found: self._uuids.get(found[0], found[0]), text)
        text = _TIME.sub(lambda found: self._times.get(float(found[0]), found[0]), text)
        return _SERVER.sub(ADDRESS, text)

    def _without_secrets(self, text: str) -> str:
        for secret in sorted(self._secrets, key=len, reverse=True):
            for form in (secret, quote(secret, safe="")):
                text = text.replace(form, self._secrets[secret])
        return text


def _texts(tree: object) -> list[str]:
    """Return all texts of a cassette, in order of appearance."""
    if isinstance(tree, dict):
        return list(chain.from_iterable(map(_texts, chain.from_iterable(tree.items()))))
    if isinstance(tree, list):
        return list(chain.from_iterable(map(_texts, tree)))
    return [tree.decode("latin-1")] if isinstance(tree, bytes) else [str(tree)]


def _renamed(tree: object, rename: Renaming) -> object:
    if isinstance(tree, dict):
        return {key: _renamed(value, rename) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_renamed(item, rename) for item in tree]
    return rename(tree) if isinstance(tree, str) else tree


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    ),
)


class Clean:
    """The format of cassettes: vcrpy's YAML, renamed, sorted and checked for secrets."""

    deserialize = staticmethod(yamlserializer.deserialize)

    @staticmethod
    def serialize(cassette: dict) -> str:
        for interaction in cassette["interactions"]:
            for message in interaction.values():
                headers = {name.lower(): value for name, value in message["headers"].items()}
                message["headers"] = {
                    name: headers[name] for name in headers.keys() & _KEPT_HEADERS
                }
            _indent(interaction["response"])
        cassette = _renamed(cassette, Renaming("\n".join(_texts(cassette["interactions"]))))
        text = yaml.dump(cassette, Dumper=_Dumper, allow_unicode=True, width=float("inf"))
        if found := secrets_in(text):
            raise ValueError(f"the cassette is not written: it would hold {found}")
        return text


def _indent(response: dict) -> None:
    if response["headers"].get("content-type") == ["application/json"]:
        body = json.loads(response["body"]["string"])
        response["body"]["string"] = json.dumps(body, indent=2, ensure_ascii=False)


# What they must not keep


_SECRETS = {
    "an Authorization header": r"(?i)\bauthorization\b",
    "a signed token": r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}",
    "a long random text": (
        r'(?<!"hash":")(?<!"hash": ")'
        r"(?:(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{64,}|(?<![\w-])[\w-]{64,})"
    ),
    "a secret value": (
        r'"(?:secret|client_secret|server_secret|pin|token|handler|fingerprint)":\s*"'
        r'(?!(?:(?:SERVER_)?SECRET|PIN|TOKEN|HANDLER)-\d{4}"|CLIENT_SECRET-\d\d"|0000")'
    ),
    "a PIN in a path": r"/secrets/[^/\s]+/(?!PIN-\d{4}\b)",
    "a handler in a path": r"/(?:_upload|cache|download/[^/\s]+)/(?!HANDLER-\d{4}\b)",
    "a token in a query": r"[?&]token=(?!TOKEN-\d{4}\b)",
}


def secrets_in(text: str) -> list[str]:
    """Tell what looks like a secret in a cassette, as it is written and as it is read."""
    read = "\n".join([text, *_texts(yaml.safe_load(text))])
    return [what for what, pattern in _SECRETS.items() if re.search(pattern, read)]


@pytest.fixture(name="secrets_in", scope="session")
def _secrets_in():
    return secrets_in


@pytest.fixture(scope="session")
def clean():
    return Clean


@pytest.fixture(scope="session")
def cassettes():
    return CASSETTES


# How vcrpy is set up


def pytest_recording_configure(config, vcr):
    if Path(vcr.cassette_library_dir) == CASSETTES:
        vcr.register_serializer("yaml", Clean)


@pytest.fixture(scope="module")
def vcr_cassette_dir():
    return str(CASSETTES)


@pytest.fixture
def default_cassette_name(request):
    """One cassette for both worlds of a scenario."""
    return request.node.originalname.removeprefix("test_")


@pytest.fixture
def vcr_config():
    return {"match_on": ("method", "path", "query", "body")}


# How scenarios run


class _Blocking:
    """Calls verbs as they are."""

    async def __call__(self, verb, *arguments, **options):
        return verb(*arguments, **options)

    async def each(self, found):
        return list(found)

    async def load(self, record, part):
        """Nothing is to be done: the part is loaded when it is looked at."""

    def run(self, scenario):
        with pytest.raises(StopIteration):
            # Nothing is awaited for: one step goes through to the end.
            scenario.send(None)


class _Looping:
    """Calls the async twins of verbs, in an event loop."""

    async def __call__(self, verb, *arguments, **options):
        owner = getattr(verb, "__self__", ttorm)
        return await getattr(owner, f"a{verb.__name__}")(*arguments, **options)

    async def each(self, found):
        return [item async for item in found]

    async def load(self, record, part):
        await record.aload(part)

    def run(self, scenario):
        asyncio.run(scenario)


@pytest.fixture(params=[_Blocking, _Looping], ids=["blocking", "looping"])
def do(request):
    """Call verbs: ``await do(twin.save)``, ``await do.each(Twin.scan())``."""
    return request.param()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    scenario = pyfuncitem.obj
    if not inspect.iscoroutinefunction(scenario):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(scenario).parameters}
    arguments["do"].run(scenario(**arguments))
    assert arguments["tape"].compared, "a scenario compares what was sent: tape.shows(...)"
    return True


@pytest.fixture
def service(vcr, tmp_path):
    """Address and secret of what to talk to: a new server to record, nothing at all to replay."""
    if vcr.write_protected:
        yield ADDRESS, "replayed"
        return
    file = tmp_path / "credentials.json"
    serve = [sys.executable, "-m", "ttorm", "serve", "--port", "0"]
    store = ["--store", f"sqlite:///{tmp_path / 'store.db'}", "--credentials", str(file)]
    with subprocess.Popen([*serve, *store], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert "serving" in process.stdout.readline()
            made = json.loads(file.read_text())
            yield made["url"], made["accounts"][0]["secret"]
        finally:
            process.terminate()


class _Watched:
    """A transport that notes what goes through it, in order."""

    def __init__(self, transport, sent):
        self._transport = transport
        self._sent = sent

    def send(self, request):
        self._sent.append(_kept(request))
        return self._transport.send(request)

    async def asend(self, request):
        self._sent.append(_kept(request))
        return await self._transport.asend(request)

    def close(self):
        self._transport.close()

    async def aclose(self):
        await self._transport.aclose()


def _kept(request):
    """Give a request whose body can be read when it is long sent."""
    if not isinstance(request.body, Upload):
        return request
    with request.body.open() as reader:
        return request._replace(body=reader.read())


class Tape:
    """What a scenario sent, and the cassette it was recorded on or replayed from."""

    def __init__(self, cassette):
        self.cassette = cassette
        self.sent = []
        self.compared = False

    def __len__(self):
        return len(self.sent)

    @property
    def unsigned(self):
        """Method and path of the requests that carried no credential."""
        requests = [request for request in self.sent if "authorization" not in request.headers]
        return [f"{request.method} {urlsplit(request.url).path}" for request in requests]

    def shows(self, *expected):
        """Compare all that was sent, in order, with (method, path and query, body)."""
        self.compared = True
        sent = [_line(one.method, one.url, one.headers, one.body) for one in self.sent]
        kept = [_line(one.method, one.uri, one.headers, one.body) for one in self.cassette.requests]
        answers = [one["body"]["string"].decode() for one in self.cassette.responses]
        text = "\n".join(
            f"{request}\n{answer}" for request, answer in zip(kept, answers, strict=True)
        )
        rename = Renaming(text)
        wanted = [rename(f"{method} {target} {_shown(body)}") for method, target, body in expected]
        assert [rename(line) for line in sent] == wanted
        assert [rename(line) for line in kept] == wanted
        if self.cassette.rewound:
            assert self.cassette.play_count == len(expected) > 0
            assert self.cassette.all_played


def _line(method, url, headers, body):
    parts = urlsplit(url)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    body = body or None
    if headers.get("content-type") == "application/json":
        body = json.loads(body)
    return f"{method} {target} {_shown(body)}"


def _shown(body):
    # As text, because 1, 1.0 and True are equal but not the same request.
    return body.decode() if isinstance(body, bytes) else json.dumps(body, sort_keys=True)


@pytest.fixture
def tape(vcr):
    return Tape(vcr)


@pytest.fixture
def connect(service, tape):
    """Connect as another process would, and use that connection from then on."""
    url, given = service
    made = []

    def connect(secret=None, token=None, **options):
        credential = {"token": token} if token else {"secret": secret or given}
        # One request at a time, so that the order is the same in every recording.
        made.append(ttorm.connect(url, **credential, retry=NO_RETRIES, concurrency=1, **options))
        made[-1].transport = _Watched(made[-1].transport, tape.sent)
        return made[-1]

    yield connect
    for connection in made:
        connection.close()


@pytest.fixture
def connection(connect):
    return connect()
