"""The platform's own Python client, pointed at `ttorm serve`, cannot tell the difference.

It calls every operation, blocking and asynchronous, and each answer is compared with the example
that the client's own interface description shows for it.
"""

from __future__ import annotations

import asyncio
import json
import queue
import re
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from urllib.parse import parse_qs, urlsplit

import pytest
from compliance import JSON, check_answer, described
from trustedtwin.tt_api import TTRESTService
from trustedtwin.tt_api_async import TTAsyncRESTService
from trustedtwin.tt_endpoints import ENDPOINTS

from ttorm.api.http import HttpResponse
from ttorm.api.operations import OPERATIONS

# Where the examples and the platform's documentation disagree, the documentation counts.
DOCUMENTED_STATUS = {"webhook_refresh_subscription": 200, "webhook_unsubscribe": 200}
NESTED_IN_SUBSCRIPTION = {"webhook_confirm_subscription", "webhook_unsubscribe"}
SLIPS = {
    # Names, defaults and periods stand in the wrong places of this example.
    "create_timeseries_table": {
        "timeseries": {
            "environmental_data": {
                "stats": {"total_size": 32768},
                "dimensions": {"names": ["city"], "types": ["varchar"]},
                "measurements": {"names": ["temperature"], "types": ["real"]},
                "defaults": {"measurement": "temperature", "dimensions": {"city": "Gdansk"}},
                "retention": "3M",
                "chunk": "1W",
                "database": "dfe8e356-30a7-4b2c-bdfb-a7ae2c159f6d",
            }
        }
    },
    # Here accounts stand in accounts.
    "get_stickers": {
        "accounts": {
            "9891264d-4a77-4fa2-ae7f-84c9af14ae3b": {
                "dark-grey": {"note": "Any", "validity_ts": 1663753700.5, "created_ts": 1664961051}
            }
        }
    },
    # Times of this example are texts.
    "get_user_roles": {
        "roles": {
            "3d4c3ec0-6c5f-4d32-ab23-4df8c69f142c": {
                "name": "Read only",
                "created_ts": 1646307775.089,
                "updated_ts": 1646307775.089,
            }
        }
    },
    # A secret that is a number.
    "webhook_subscribe": {
        "subscription": {"topic": "my-topic", "account": "02bb52f9", "validity_ts": 1608592501},
        "callback_url": "https://my-custom-url.com",
        "server_secret": "U2VydmVyU2VjcmV0",
    },
    # A file, a dictionary of the caller's and one of times: the story looks at them itself.
    "download_doc": None,
    "update_database_ip_access": None,
    "get_twin_ledger_entry_history": None,
}

# Members with names of the caller's choice: each has one of the forms that the example shows.
BY_NAME = {
    "accounts",
    "databases",
    "docs",
    "entries",
    "identities",
    "indexes",
    "roles",
    "timeseries",
    "usage",
    "users",
}
# Members whose form is the caller's own.
OWN = {"activity", "description", "value"}
NUMBER = (int, float)


def documented() -> dict[str, tuple[int, object]]:
    """The status and the answer that the client's interface shows for each operation."""
    text = files("trustedtwin").joinpath("tt_api.pyi").read_text(encoding="utf-8")
    shown = re.compile(
        r"    def (\w+)\((?:(?!    def ).)*?"
        r">>> status\s+(\d+) \(int\)\s+>>> text\s+(.*?)\(str\)",
        re.DOTALL,
    )
    return {name: (int(status), json.loads(answer)) for name, status, answer in shown.findall(text)}


def expected(name: str) -> tuple[int, object]:
    status, answer = documented()[name]
    answer = SLIPS.get(name, answer)
    if name in NESTED_IN_SUBSCRIPTION:
        answer = {"subscription": answer}
    return DOCUMENTED_STATUS.get(name, status), answer


def differences(shown: object, answer: object, place: str = "") -> list[str]:
    """What an example has and an answer has not; more than the example shows is no difference."""
    if shown is None or shown == "None":
        return []
    if isinstance(shown, dict) and isinstance(answer, dict):
        return [d for n, v in shown.items() for d in in_member(n, v, answer, f"{place}.{n}")]
    if isinstance(shown, list) and isinstance(answer, list):
        return [d for item in answer for d in from_one_of(shown, item, f"{place}[]")]
    kinds = NUMBER if isinstance(shown, NUMBER) else (type(shown),)
    return [] if isinstance(answer, kinds) else [f"{place} is {answer!r}, not like {shown!r}"]


def in_member(name: str, shown: object, answer: dict, place: str) -> list[str]:
    if shown is None or name in OWN:
        return []
    if name not in answer:
        return [f"{place} is missing"]
    found = answer[name]
    if name == "usage":
        return in_usage(found)
    if name in BY_NAME and isinstance(shown, dict):
        items = list(shown.values())
        return [d for n, v in found.items() for d in from_one_of(items, v, f"{place}.{n}")]
    return differences(shown, found, place)


def from_one_of(shown: list, answer: object, place: str) -> list[str]:
    """The differences from the example's item that is the most similar."""
    return min((differences(item, answer, place) for item in shown), key=len, default=[])


def in_usage(usage: dict) -> list[str]:
    """Which items are counted, the example leaves open."""
    wrong = [hour for hour in usage if not re.fullmatch(r"\d{4}-\d\d-\d\d-\d\d", hour)]
    items = [(name, count) for hour in usage.values() for name, count in hour.items()]
    return wrong + [name for name, count in items if not isinstance(count, NUMBER)]


class Server:
    """`ttorm serve` in a process of its own, with two accounts."""

    def __init__(self, process: subprocess.Popen) -> None:
        self.accounts = json.loads(process.stdout.readline())["accounts"]
        self.url = process.stdout.readline().split()[-1]


@pytest.fixture(scope="module")
def server():
    command = [sys.executable, "-m", "ttorm", "serve", "--port", "0", "--accounts", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Server(process)
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def callbacks():
    """A server that notifications are sent to, and what it was sent."""
    messages = queue.Queue()

    class Callback(BaseHTTPRequestHandler):
        def do_POST(self):
            messages.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(201)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Callback) as listener:
        thread = threading.Thread(target=listener.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listener.server_port}/hook", messages
        listener.shutdown()
        thread.join()


def put(url: str, content: bytes) -> None:
    request = urllib.request.Request(url, content, method="PUT")
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.status == 200


class Story:
    """What two accounts do with the client, and what each operation was answered first.

    Attributes:
        answers: The first status and text by operation.
    """

    def __init__(self, server: Server, service, wait) -> None:
        self.server = server
        self.service = service
        self.wait = wait
        self.answers: dict[str, tuple[int, str]] = {}
        self.admin = self.client(server.accounts[0]["secret"])
        self.stranger = self.client(server.accounts[1]["secret"])
        self.account = server.accounts[0]["account"]
        self.user = server.accounts[0]["user"]

    def client(self, secret=None, **options):
        return self.service(tt_auth=secret, tt_base=self.server.url, **options)

    def call(self, name, *path, client=None, **options):
        """Call an operation with the path's arguments; a body and parameters as options."""
        status, text = self.wait(getattr(client or self.admin, name)(*path, retries=1, **options))
        self.answers.setdefault(name, (status, text))
        return json.loads(text) if text.startswith("{") else text

    def upload(self, content: bytes) -> str:
        place = self.call("create_upload_url")
        put(place["url"], content)
        return place["handler"]

    def until(self, ready, name, *path, **options):
        """Ask again until an answer is ready."""
        pause, deadline = threading.Event(), time.monotonic() + 30
        while not ready(answer := self.call(name, *path, **options)):
            assert time.monotonic() < deadline, answer
            pause.wait(0.02)
        # The last one is what the client waited for.
        self.answers[name] = 200, json.dumps(answer)
        return answer

    def tell(self, callback, messages) -> None:
        self.people()
        twin = self.twins()
        self.entries(twin)
        self.docs(twin)
        self.stickers(twin)
        self.services()
        self.batches()
        self.rest()
        self.notifications(callback, messages)

    def people(self) -> None:
        rules = {"twin_rule": "TWIN.company == USER.company", "entry_rule": None}
        statement = {"effect": "deny", "actions": ["delete_user"]}
        role = self.call(
            "create_user_role",
            body={"name": "role_1", "statement": statement, "rules": rules},
        )["uuid"]
        self.call("get_user_roles")
        self.call("get_user_role", role)
        self.call("update_user_role", role, body={"name": "role 2"})
        user = self.call(
            "create_user",
            body={"name": "first_user", "role": role, "description": {"custom": "value"}},
        )["uuid"]
        self.call("get_users")
        self.call("get_user", user)
        self.call("update_user", user, body={"name": "Updated_user_name"})
        later = round(time.time() + 3600, 3)
        pin = self.call("create_user_secret_pin", user, body={"validity_ts": later})["pin"]
        secret = self.call("create_user_secret", self.account, pin, client=self.client())["secret"]
        self.call("get_user_secret", user)
        self.call("update_user_secret", user, body={"validity_ts": later + 1})
        options = {"options": ["refresh"], "validity_ts": later, "secret_dict": {"serial": 1}}
        token = self.call("create_user_token", client=self.client(secret), body=options)["token"]
        with_token = self.client(token)
        self.call("refresh_user_token", client=with_token, body={"validity_ts": later})
        assert self.call("who_am_i", client=with_token)["user"] == user
        self.call("delete_user_secret", user)
        self.call("delete_user", user)
        self.call("delete_user_role", role)

    def twins(self) -> str:
        described = {"description": {"key1": "123", "key2": "some string"}}
        twin = self.call("create_twin", body=described)["creation_certificate"]["uuid"]
        self.call("get_twin", twin, params={"show_terminated": "false"})
        self.call("update_twin", twin, body=described)
        ended = self.call("create_twin", body=described)["creation_certificate"]["uuid"]
        self.call("terminate_twin", ended)
        page = {"count": 1, "match": "TWIN.key1 == '123'"}
        cursor = self.call("scan_twins", params={**page, "cursor": ""})["cursor"]
        rest = self.call("scan_twins", params={**page, "count": 1000, "cursor": cursor})
        assert (rest["twins"][-1], rest["cursor"]) == (ended, None)
        rfid = "RFID#a+b=_-1"
        visible = {"visibility": "true", "validity_ts": round(time.time() + 3600, 3)}
        self.call("create_twin_identity", twin, body={"identities": {rfid: visible}})
        self.call("get_twin_identities", twin)
        self.call("get_twin_identity", twin, rfid)
        assert self.call("resolve_twin_identity", rfid)["twins"] == [twin]
        self.call("update_twin_identity", twin, rfid, body=visible)
        self.call("delete_twin_identity", twin, rfid)
        return twin

    def entries(self, twin: str) -> None:
        source = self.call("create_twin")["creation_certificate"]["uuid"]
        self.call("add_twin_ledger_entry", source, body={"entries": {"foreign_key": {"value": 1}}})
        ref = {"ref": {"source": f"twin://{source}/{self.account}/foreign_key"}}
        include = {"include": {"source": f"twin://{source}/foreign_key"}}
        rule = "USER.profession == 'accounting'"
        value = {"value": 123, "visibility": rule, "history": "3M"}
        made = {"entry1": value, "entry2": {**ref, "visibility": rule}, "entry3": include}
        # The answer that counts is the one with all kinds of Entries.
        del self.answers["add_twin_ledger_entry"]
        self.call("add_twin_ledger_entry", twin, body={"entries": made})
        self.call("get_twin_ledger_entry", twin)
        self.call("get_twin_ledger_entry_value", twin, "owner", params={"entries": "entry1"})
        condition = {"entry1": "value_changed_ts > 0"}
        changed = {"entries": {"entry1": {"value": 456}}, "conditions": condition}
        self.call("update_twin_ledger_entry", twin, body={**changed, "transaction": None})
        self.call("update_twin_ledger_entry_value", twin, "personal", body=changed)
        asked = [("entries", "entry1"), ("entries", "entry_2")]
        history = self.call("get_twin_ledger_entry_history", twin, params=asked)["entries"]
        times = [float(time) for time in history["entry1"]]
        assert times == sorted(times, reverse=True)
        assert list(history["entry1"].values()) == [456, 456, 123]
        assert history["entry_2"] == "Entry not accessible."
        body = {"conditions": condition}
        gone = self.call("delete_twin_ledger_entry", twin, params={"entries": "entry1"}, body=body)
        assert gone["entries"]["entry1"]["value"] == 456

    def docs(self, twin: str) -> None:
        handler = self.upload(b"steps one to three")
        name = "Certifications/certification_2022_v1.txt"
        doc = {"handler": handler, "storage_class": "access_optimized", "description": {"a": 1}}
        self.call("attach_twin_doc", twin, body={"docs": {name: doc, "b.txt": doc}})
        self.call("get_twin_docs", twin, params={"view": "list"})
        shown = self.until(
            lambda shown: "download" in shown,
            "get_twin_doc",
            twin,
            name,
            params={"download": "True"},
        )
        account, handler_of_download = urlsplit(shown["download"]["url"]).path.split("/")[-2:]
        got = self.call("download_doc", account, handler_of_download, client=self.client())
        assert got == "steps one to three"
        self.call("update_twin_doc", twin, name, body={"description": {"key": "new"}})
        self.call("delete_twin_doc", twin, name)
        self.call("delete_twin_docs", twin)
        self.call("invalidate_upload_url", handler)

    def stickers(self, twin: str) -> None:
        topics = {"on_put": ["put-topic"], "on_remove": ["gone-topic"], "on_expire": ["late-topic"]}
        red = {"note": "Look", "recipients": [self.user, self.account], "publish": topics}
        self.call("put_sticker", twin, body={"stickers": {"dark-grey": red}})
        self.call("get_sticker", twin, "dark-grey")
        self.call("get_stickers", twin, params={"context": "system"})
        assert self.call("list_stickers")["stickers"][0]["twin"] == twin
        self.call("remove_sticker", twin, "dark-grey")

    def services(self) -> None:
        self.call("update_database", body={"note": "test database"})
        self.call("get_databases")
        self.call("get_database")
        rights = {"timeseries": ["read"], "indexes": [], "customer_data": ["read", "write"]}
        self.call("update_database_user_access", "default", self.user, body=rights)
        networks = self.call("update_database_ip_access", body={"192.168.1.3/32": "my host"})
        assert networks == {"192.168.1.3/32": "my host"}
        assert self.call("get_database_access")["ips"] == networks
        table = {
            "dimensions": {"names": ["city"], "types": ["varchar"]},
            "measurements": {"names": ["temperature"], "types": ["real"]},
            "defaults": {"measurement": "{entry_name}", "dimensions": {"city": "Gdansk"}},
            "retention": "3M",
            "chunk": "1W",
        }
        self.call("create_timeseries_table", body={"timeseries": {"environmental_data": table}})
        assert self.call("get_timeseries_tables") == {"timeseries": ["environmental_data"]}
        self.call("get_timeseries_table", "environmental_data")
        self.call("update_timeseries_table", "environmental_data", body={"retention": "1Y"})
        self.call("truncate_timeseries_table", "environmental_data")
        self.call("delete_timeseries_table", "environmental_data")
        index = {
            "rule": "LEDGER.serial > 3",
            "properties": {"names": ["property_1", "property_2"], "types": ["int", "varchar"]},
            "templates": {
                "properties": {"property_1": "{LEDGER[serial]}", "property_2": "{LEDGER[model]}"}
            },
        }
        self.call("create_indexes_table", body={"indexes": {"index_table_1": index}})
        again = self.call("create_indexes_table", body={"indexes": {"index_table_1": index}})
        assert again["indexes"]["index_table_1"] == {"error": "Table already exists."}
        assert self.call("get_indexes_tables") == {"indexes": ["index_table_1"]}
        self.call("get_indexes_table", "index_table_1")
        self.call("update_indexes_table", "index_table_1", body={"rule": "LEDGER.serial > 4"})
        self.call("truncate_indexes_table", "index_table_1")
        self.call("delete_indexes_table", "index_table_1")

    def batches(self) -> None:
        line = b'{"body": {"description": {}}}\n'
        batch = {"operation": "create_twin", "handler": self.upload(line), "batch_dict": {"a": 1}}
        batch = self.call("create_batch", body=batch)["batch"]
        long = {"operation": "create_twin", "handler": self.upload(line * 5_000)}
        cancelled = self.call("create_batch", body=long)["batch"]
        self.call("update_batch", cancelled, body={"status": "cancel"})
        self.call("get_batches", params={"limit": 1})
        shown = self.until(
            lambda shown: "download" in shown, "get_batch", batch, params={"download": "true"}
        )
        with urllib.request.urlopen(shown["download"]["url"], timeout=20) as results:
            assert json.loads(results.read())["status"] == 201
        self.call("delete_batch", batch)

    def rest(self) -> None:
        self.call("get_account")
        self.call("update_account", body={"resource_access_log": {}})
        self.call("get_log")
        self.call("get_user_usage", self.user)
        self.call("get_account_usage")
        assert self.call("trace") == {}

    def notifications(self, callback: str, messages: queue.Queue) -> None:
        foreign = self.server.accounts[1]["account"]
        topics = {"topics": ["green", "blue"]}
        assert self.call("update_notifications_account_access", foreign, body=topics) == topics
        assert self.call("get_notifications_access")["accounts"] == {foreign: topics}
        wanted = {
            "callback_url": callback,
            "topic": "my-topic",
            "client_secret": "Q2xpZW50U2VjcmV0",
            "expires": 3600,
        }
        self.call("webhook_subscribe", body=wanted)
        confirmation = messages.get(timeout=30)

        def token(url: str) -> dict[str, str]:
            return {"token": parse_qs(urlsplit(url).query)["token"][0]}

        nobody = self.client()
        confirmed = self.call(
            "webhook_confirm_subscription",
            self.account,
            params=token(confirmation["confirmation_url"]),
            client=nobody,
        )["subscription"]
        refresh = token(confirmed["refresh_url"])
        refreshed = self.call(
            "webhook_refresh_subscription", self.account, params=refresh, client=nobody
        )["subscription"]
        over = token(refreshed["unsubscribe_url"])
        self.call("webhook_unsubscribe", self.account, params=over, client=nobody)


def told(server, callbacks, service, wait) -> dict[str, tuple[int, str]]:
    story = Story(server, service, wait)
    story.tell(*callbacks)
    return story.answers


@pytest.fixture(scope="module")
def blocking_answers(server, callbacks):
    return told(server, callbacks, TTRESTService, lambda answer: answer)


@pytest.fixture(scope="module")
def async_answers(server, callbacks):
    with asyncio.Runner() as runner:
        return told(server, callbacks, TTAsyncRESTService, runner.run)


@pytest.fixture(params=["blocking", "async"])
def answers(request):
    return request.getfixturevalue(f"{request.param}_answers")


def test_the_client_has_the_operations_of_the_table():
    assert len(ENDPOINTS) == 85
    assert ENDPOINTS.keys() == OPERATIONS.keys() == documented().keys()
    for name, (method, path, arguments) in ENDPOINTS.items():
        row = OPERATIONS[name]
        assert row.method == method
        assert re.sub(r"\{\w+\}", "{}", row.path) == path
        assert {p.name: p.default for p in row.path_params} == arguments


def test_every_operation_was_called(answers):
    assert answers.keys() == OPERATIONS.keys()


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_the_client_gets_the_documented_answer(name, answers):
    status, text = answers[name]
    documented_status, shown = expected(name)
    assert status == documented_status, text
    assert status == OPERATIONS[name].success
    if shown is not None:
        assert differences(shown, json.loads(text)) == []
    if name != "download_doc":
        answer = HttpResponse(status, {"content-type": JSON}, text.encode())
        check_answer(described(name), answer)


def test_a_difference_from_an_example_is_noticed():
    shown = {"entries": {"a": {"value": 1, "entry_created_ts": 1.5}}, "cursor": "x", "note": None}
    assert differences(shown, {"entries": {"b": {"value": "any", "entry_created_ts": 2}}}) == [
        ".cursor is missing"
    ]
    wrong = {"entries": {"b": {"value": 1, "entry_created_ts": "2"}}, "cursor": None}
    assert len(differences(shown, wrong)) == 2


def test_an_error_of_the_server_is_what_the_client_repeats(server, monkeypatch):
    codes = {}
    client = TTRESTService(tt_auth="wrong", tt_base=server.url, codes=codes)
    status, text = client.who_am_i()
    assert (status, json.loads(text)["subcode"]) == (401, 401000)
    assert codes == {401: 1}


def test_python_booleans_and_lists_are_understood(server):
    client = TTRESTService(tt_auth=server.accounts[0]["secret"], tt_base=server.url)
    twin = json.loads(client.create_twin()[1])["creation_certificate"]["uuid"]
    entries = {"a": {"value": 1}, "b": {"value": 2}, "c": {"value": 3, "visibility": "true"}}
    assert client.add_twin_ledger_entry(twin, body={"entries": entries})[0] == 201
    asked = {"entries": ["a", "c"], "show_private": False}
    status, text = client.get_twin_ledger_entry(twin, params=asked)
    assert status == 200
    assert json.loads(text)["entries"].keys() == {"c"}


def test_the_dictionary_of_the_client_is_what_rules_read(server):
    secret = server.accounts[0]["secret"]
    client = TTRESTService(tt_auth=secret, tt_base=server.url, tt_dict={"kind": "pump"})
    twin = json.loads(client.create_twin(body={"description": {"kind": "pump"}})[1])
    uuid = twin["creation_certificate"]["uuid"]
    match = {"match": "TWIN.kind == DICT.kind", "count": 1000}
    assert uuid in json.loads(client.scan_twins(params=match)[1])["twins"]
    other = client.scan_twins(params=match, dictionary={"kind": "valve"})
    assert uuid not in json.loads(other[1])["twins"]
