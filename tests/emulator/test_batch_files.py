"""What is in the files of batches, and what becomes of it."""

from __future__ import annotations

import json
import re
from uuid import uuid4

import pytest

from ttorm.emulator.policy import Policy


@pytest.fixture
def policy():
    """Batches run when a test lets them."""
    return Policy(background=False)


def jsonl(*lines):
    return "".join(f"{json.dumps(line)}\n" for line in lines).encode()


def creations(count):
    return [{"body": {"description": {"number": number}}} for number in range(count)]


class TestFiles:
    """What is in a file, and what is not."""

    @pytest.mark.parametrize(
        ("operation", "content"),
        [
            ("create_twin", b""),
            ("create_twin", b"\n  \n"),
            ("create_twin", b"[]\n"),
            ("create_twin", b"null\n"),
            ("create_twin", b"{\n"),
            ("create_twin", b"{}\n{}\nx\n"),
            ("create_twin", b"\xff\n"),
            ("create_twin", b"\xef\xbb\xbf{}\n"),
            ("create_twin", b'{"twin": "x"}\n'),
            ("create_twin", b'{"body": {"description": NaN}}\n'),
            ("create_twin", b'{"dictionary": []}\n'),
            ("create_twin", b'{"dictionary": {"Key": 1}}\n'),
            ("create_twin", b'{"params": []}\n'),
            ("create_twin", b'{"params": {"colour": "red"}}\n'),
            ("create_twin", b'{"body": "%s"}\n' % (b"x" * 1_048_576)),
            ("scan_twins", b'{"params": {"match": {}}}\n'),
            ("scan_twins", b'{"body": {}}\n'),
            ("get_twin", b"{}\n"),
            ("get_twin", b'{"twin": null}\n'),
            ("get_twin", b'{"twin": ""}\n'),
            ("get_twin", b'{"twin": 1}\n'),
            ("get_twin", b'{"twin": "..", "params": {}}\n'),
            ("get_twin", b'{"params": {"twin": "x"}}\n'),
            ("get_twin_ledger_entry", b'{"twin": "x", "ledger": null}\n'),
            ("get_twin_identity", b'{"twin": "x"}\n'),
        ],
    )
    def test_no_calls(self, emulator, api, new_batch, get_batch, files, operation, content):
        batch = new_batch(operation, content=content)
        assert emulator.run_batches() == 0
        batch = get_batch(batch, download=True)
        assert batch["status"] == "validation_failed"
        assert "download" not in batch
        assert files() == set()
        # One wrong line is enough for nothing to happen.
        assert api("scan_twins")[1]["twins"] == []

    @pytest.mark.parametrize(
        ("operation", "content", "line"),
        [
            ("create_twin", b"{}\n\n[]\n", "line 3 "),
            (
                "create_twin",
                b'{"tw\xc3\xadn": 1}',
                "line 1 .* has tw\u00edn, but may have only body, ",
            ),
            ("create_twin", b'{"%s": 1}' % (b"x" * 100_000), "line 1 .* has xxxx"),
            ("get_twin", b"{}", "line 1 .* needs 'twin'"),
            ("get_twin", b"", "no call"),
        ],
    )
    def test_the_log_says_why(self, emulator, new_batch, operation, content, line):
        batch = new_batch(operation, content=content)
        emulator.run_batches()
        with emulator.store.transaction(write=False) as tx:
            (row,) = tx.rows("SELECT * FROM log_messages")
        assert len(row["message"]) < 500
        pattern = rf"Batch file refused: batch=\[{batch['batch']}\], reason=\[.*{line}.*\]\."
        assert re.fullmatch(pattern, row["message"])

    def test_long_ones_are_checked_in_parts(self, emulator, api, new_batch, get_batch):
        good = b"{}\n" * 1_100
        batches = [
            new_batch("create_twin", content=content)
            for content in (good, good + b"x\n", b"\n" * 1_100 + b"{}", b"\n" * 1_100)
        ]
        emulator.run_batches(steps=5)
        statuses = [get_batch(batch)["status"] for batch in batches]
        assert statuses == ["validating", "validating", "processing", "validation_failed"]
        cancelled = new_batch("create_twin", content=good)
        emulator.run_batches(steps=4)
        assert api("update_batch", cancelled["batch"], body={"status": "cancel"})[0] == 200
        emulator.run_batches()
        statuses = [get_batch(batch)["status"] for batch in (*batches, cancelled)]
        assert statuses == [
            "completed", "validation_failed", "completed", "validation_failed", "cancelled",
        ]  # fmt: skip
        assert "download" not in get_batch(cancelled, download=True)
        with emulator.store.transaction(write=False) as tx:
            assert tx.row("SELECT COUNT(*) AS count FROM twins")["count"] == 1_101

    def test_all_that_a_line_may_say(self, emulator, new_batch, results, twin, new_twin, add):
        add(twin, a={"value": 1}, b={"value": 2}, c={"value": 3})
        other = new_twin()
        batch = new_batch(
            "get_twin_ledger_entry",
            {"twin": twin},
            {"twin": twin, "ledger": "owner", "params": {"entries": ["a", "b"]}},
            {"twin": twin, "params": {"entries": "c", "show_private": None}},
            {"twin": twin, "params": {"show_private": False}, "body": None},
            {"twin": other, "params": None, "dictionary": None},
        )
        emulator.run_batches()
        done = results(batch)
        assert [result["line"] for result in done] == [1, 2, 3, 4, 5]
        assert [result["status"] for result in done] == [200] * 5
        names = [set(result["response"]["entries"]) for result in done]
        assert names == [{"a", "b", "c"}, {"a", "b"}, {"c"}, set(), set()]

    def test_empty_lines_are_counted_and_passed_over(self, emulator, new_batch, results, twin):
        line = json.dumps({"twin": twin}).encode()
        content = b"\n" + line + b"\r\n  \n\n" + line
        batch = new_batch("get_twin", content=content)
        emulator.run_batches()
        assert [result["line"] for result in results(batch)] == [2, 5]

    def test_arguments_are_encoded(self, emulator, new_batch, results, twin, api):
        identities = ["RFID#a+b=c-_", "SN#1"]
        body = {"identities": {identity: {} for identity in identities}}
        assert api("create_twin_identity", twin, body=body)[0] == 201
        lines = [{"twin": twin, "identity": identity} for identity in identities]
        batch = new_batch("get_twin_identity", *lines)
        emulator.run_batches()
        found = [one["response"]["creation_certificate"]["identity"] for one in results(batch)]
        assert found == identities


class TestCalls:
    def test_each_line_is_a_call(self, emulator, new_batch, results, api, new_twin, entries, clock):
        twins = [new_twin() for _ in range(3)]
        batch = new_batch(
            "add_twin_ledger_entry",
            *({"twin": twin, "body": {"entries": {"a": {"value": 1}}}} for twin in twins),
        )
        assert [entries(twin) for twin in twins] == [{}] * 3
        clock.advance(60)
        emulator.run_batches()
        done = results(batch)
        assert [(result["line"], result["status"]) for result in done] == [
            (1, 201), (2, 201), (3, 201),
        ]  # fmt: skip
        for twin, result in zip(twins, done, strict=True):
            assert entries(twin) == result["response"]["entries"]
            assert entries(twin)["a"]["value_changed_ts"] == clock.now()

    def test_errors_are_results(
        self, emulator, new_batch, get_batch, results, twin, new_twin, entries
    ):
        terminated = str(uuid4())
        draft = {"entries": {"a": {"value": 1}}}
        batch = new_batch(
            "add_twin_ledger_entry",
            {"twin": terminated, "body": draft},
            {"twin": twin, "body": {"entries": {}}},
            {"twin": twin, "body": [draft]},
            {"twin": "no uuid", "body": draft},
            {"twin": twin},
            {"twin": twin, "body": {"entries": {"a": {"value": "x" * 65_536}}}},
            {"twin": twin, "body": draft, "dictionary": {"a": "x" * 8_192}},
            {"twin": twin, "body": draft},
            {"twin": twin, "body": draft},
        )
        emulator.run_batches()
        assert get_batch(batch)["status"] == "completed"
        done = results(batch)
        subcodes = [result["response"].get("subcode") for result in done]
        assert subcodes == [404653, *[400589] * 4, 400141, 400793, None, None]
        assert [result["status"] for result in done] == [404, *[400] * 6, 201, 201]
        traces = [result["response"]["trace"] for result in done[:7]]
        assert len(set(traces)) == 7
        assert done[8]["response"]["entries"]["a"] == {"error": "Entry already exists."}
        assert entries(twin)["a"]["value"] == 1

    def test_a_failure_of_the_emulator_is_a_result_and_leaves_nothing(
        self, emulator, new_batch, results, get_batch, api, monkeypatch, caplog
    ):
        function = emulator._handlers["create_twin"].function

        def broken(call):
            answer = function(call)
            if call.body["description"]["number"] == 1:
                raise ZeroDivisionError
            return answer

        handlers = dict(emulator._handlers)
        handlers["create_twin"] = handlers["create_twin"]._replace(function=broken)
        monkeypatch.setattr(emulator, "_handlers", handlers)
        batch = new_batch("create_twin", *creations(3))
        emulator.run_batches()
        assert get_batch(batch)["status"] == "completed"
        assert [result["status"] for result in results(batch)] == [201, 500, 201]
        assert "ZeroDivisionError" in caplog.text
        assert len(api("scan_twins")[1]["twins"]) == 2

    def test_files_that_a_call_lets_go_of_are_removed(
        self, emulator, new_batch, twin, new_doc, files, clock, api
    ):
        new_doc(twin, "a.txt", b"text")
        clock.advance(3_600)
        batch = new_batch("delete_twin_docs", {"twin": twin})
        emulator.run_batches()
        api("delete_batch", batch["batch"])
        assert files() == set()

    def test_addresses_in_answers_are_those_of_the_maker(
        self, emulator, upload, send, user, results
    ):
        body = {"operation": "create_upload_url", "handler": upload(jsonl({}))}
        data = json.dumps(body).encode()
        answer = send("POST", "http://twins.example:8787/batches", data, user)
        batch = json.loads(answer.body)
        emulator.run_batches()
        url = results(batch)[0]["response"]["url"]
        assert url.startswith("http://twins.example:8787/_upload/")


class TestDictionaries:
    @pytest.fixture
    def reader(self, new_user):
        return new_user(rules={"twin_rule": "DICT.key == TWIN.key"})

    @pytest.fixture
    def twins(self, new_twin):
        return {key: new_twin({"key": key}) for key in ("a", "b")}

    def test_that_of_the_batch_and_those_of_lines(
        self, emulator, new_batch, results, twins, reader
    ):
        batch = new_batch(
            "get_twin",
            {"twin": twins["a"]},
            {"twin": twins["b"]},
            {"twin": twins["b"], "dictionary": {"key": "b"}},
            {"twin": twins["a"], "dictionary": {"other": 1}},
            {"twin": twins["a"], "dictionary": {}},
            user=reader,
            batch_dict={"key": "a"},
        )
        emulator.run_batches()
        assert [result["status"] for result in results(batch)] == [200, 403, 200, 403, 403]

    def test_none(self, emulator, new_batch, results, twins, reader):
        lines = [{"twin": twins["a"]}, {"twin": twins["a"], "dictionary": {"key": "a"}}]
        batch = new_batch("get_twin", *lines, user=reader)
        emulator.run_batches()
        assert [result["status"] for result in results(batch)] == [403, 200]

    def test_what_a_token_says_wins(self, api, emulator, send, results, twins, reader):
        body = {"secret_dict": {"key": "a"}, "options": ["create"]}
        status, token = api("create_user_token", body=body, user=reader)
        assert status == 201, token
        headers = {"authorization": token["token"]}

        def call(method, path, body=b""):
            answer = send(method, path, body, headers=headers)
            assert answer.status < 300, answer
            return json.loads(answer.body) if answer.body else None

        place = call("POST", "/cache")
        lines = [{"twin": twins[key], "dictionary": {"key": "b"}} for key in ("a", "b")]
        send("PUT", place["url"], jsonl(*lines))
        body = {"operation": "get_twin", "handler": place["handler"], "batch_dict": {"key": "b"}}
        batch = call("POST", "/batches", json.dumps(body).encode())
        emulator.run_batches()
        assert [result["status"] for result in results(batch)] == [200, 403]

    @pytest.mark.parametrize("options", [[], ["create"]])
    def test_what_a_token_may_do(self, api, emulator, send, results, options):
        token = api("create_user_token", body={"options": options})[1]["token"]
        headers = {"authorization": token}
        place = json.loads(send("POST", "/cache", headers=headers).body)
        send("PUT", place["url"], jsonl({"body": {}}))
        body = {"operation": "create_user_token", "handler": place["handler"]}
        answer = send("POST", "/batches", json.dumps(body).encode(), headers=headers)
        if not options:
            assert answer.status == 403
            return
        emulator.run_batches()
        (result,) = results(json.loads(answer.body))
        made = result["response"]["token"]
        assert send("GET", "/whoami", headers={"authorization": made}).status == 200


class TestCallers:
    def test_the_role_counts_when_a_line_is_done(self, emulator, new_batch, results, api, new_user):
        actions = [
            "create_upload_url", "create_batch", "create_twin", "get_batch",
        ]  # fmt: skip
        user = new_user(statement={"effect": "allow", "actions": actions})
        role = api("get_user", user)[1]["role"]
        batch = new_batch("create_twin", *creations(3), user=user)
        emulator.run_batches(steps=5)
        body = {"statement": {"effect": "allow", "actions": ["get_batch"]}}
        assert api("update_user_role", role, body=body)[0] == 201
        emulator.run_batches(steps=1)
        assert api("delete_user", user)[0] == 200
        emulator.run_batches()
        assert [result["status"] for result in results(batch)] == [201, 403, 401]

    def test_batches_are_the_accounts(
        self, api, emulator, new_batch, new_user, stranger, get_batch
    ):
        batch = new_batch("create_twin", {})
        colleague = new_user()
        assert get_batch(batch, user=colleague) == batch
        assert list(api("get_batches", user=colleague)[1]["batches"]) == [batch["batch"]]
        assert api("get_batches", user=stranger)[1]["batches"] == {}
        for name, body in (
            ("get_batch", None), ("update_batch", {"status": "cancel"}), ("delete_batch", None),
        ):  # fmt: skip
            answer = api(name, batch["batch"], body=body, user=stranger)
            assert answer[1]["subcode"] == 404653
        emulator.run_batches()
        assert get_batch(batch, user=colleague)["status"] == "completed"


class TestResults:
    def test_the_address_lives_an_hour(self, emulator, new_batch, get_batch, send, account, clock):
        batch = new_batch("create_twin", {})
        assert "download" not in get_batch(batch, download=True)
        emulator.run_batches()
        assert "download" not in get_batch(batch)
        download = get_batch(batch, download=True)["download"]
        assert download["validity_ts"] == clock.now() + 3_600
        assert f"/download/{account}/" in download["url"]
        clock.advance(3_599.999)
        answer = send("GET", download["url"])
        assert answer.status == 200
        assert answer.headers["content-type"] == "application/jsonl"
        name = f'attachment; filename="{batch["batch"]}.jsonl"'
        assert answer.headers["content-disposition"] == name
        answer.stream.close()
        clock.advance(0.001)
        assert send("GET", download["url"]).status == 404

    def test_addresses_cannot_be_made_up(
        self, emulator, new_batch, get_batch, send, account, stranger_account
    ):
        batch = new_batch("create_twin", {})
        emulator.run_batches()
        url = get_batch(batch, download=True)["download"]["url"]
        assert send("GET", url[:-1] + ("0" if url[-1] != "0" else "1")).status == 404
        assert send("GET", url.replace(account, stranger_account)).status == 404

    def test_many(self, emulator, new_batch, results, api):
        batch = new_batch("create_twin", *creations(2_500))
        emulator.run_batches()
        done = results(batch)
        assert [result["line"] for result in done] == list(range(1, 2_501))
        numbers = [result["response"]["description"]["number"] for result in done]
        assert numbers == list(range(2_500))
        assert len(api("scan_twins", count=1_000)[1]["twins"]) == 1_000

    def test_only_they_are_kept(self, emulator, new_batch, files):
        batch = new_batch("create_twin", {})
        assert len(files()) == 1
        emulator.run_batches(steps=6)
        assert len(files()) == 1
        emulator.run_batches()
        assert len(files()) == 1
        with emulator.store.transaction(write=False) as tx:
            assert tx.rows("SELECT * FROM batch_results") == []
            row = tx.row("SELECT content, results FROM batches WHERE uuid = ?", batch["batch"])
        assert (row["content"], {row["results"]}) == (None, files())

    def test_a_file_that_a_doc_has_too_stays(self, emulator, api, twin, new_doc, new_batch, send):
        content = jsonl({})
        new_doc(twin, "a.txt", content)
        batch = new_batch("create_twin", content=content)
        emulator.run_batches()
        api("delete_batch", batch["batch"])
        url = api("get_twin_doc", twin, "a.txt", download=True)[1]["download"]["url"]
        assert b"".join(send("GET", url).stream) == content


class TestResultsWhereDocsAreZipped:
    @pytest.fixture
    def policy(self):
        return Policy(background=False, zip_downloads=True)

    def test_they_are_sent_as_they_are(self, emulator, new_batch, results):
        batch = new_batch("create_twin", {})
        emulator.run_batches()
        assert [result["line"] for result in results(batch)] == [1]
