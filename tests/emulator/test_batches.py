"""Batches: making, watching, cancelling, deleting and listing them."""

from __future__ import annotations

import hashlib
import json
from uuid import uuid4

import pytest

from ttorm.api.operations import OPERATIONS
from ttorm.emulator.policy import Policy

STATUSES = [
    "new", "copying", "copied", "validating", "processing", "processed", "writing_results",
    "completed",
]  # fmt: skip


@pytest.fixture
def policy():
    """Batches run when a test lets them."""
    return Policy(background=False)


def jsonl(*lines):
    return "".join(f"{json.dumps(line)}\n" for line in lines).encode()


def creations(count):
    return [{"body": {"description": {"number": number}}} for number in range(count)]


class TestCreate:
    def test_the_answer(self, new_batch, clock, get_batch):
        batch = new_batch("create_twin", {})
        assert batch == {
            "batch": batch["batch"],
            "status": "new",
            "created_ts": clock.now(),
            "updated_ts": clock.now(),
        }
        assert get_batch(batch) == batch

    def test_a_hash_is_shown(self, new_batch, get_batch):
        content = jsonl({})
        expected = hashlib.sha256(content).hexdigest()
        batch = new_batch("create_twin", content=content, hash=expected)
        assert batch["hash"] == expected
        assert get_batch(batch) == batch

    def test_what_was_asked_for_is_not_shown(self, new_batch):
        batch = new_batch("create_twin", {}, batch_dict={"a": 1})
        assert set(batch) == {"batch", "status", "created_ts", "updated_ts"}

    def test_an_upload_is_used_up(self, api, upload, twin):
        body = {"operation": "create_twin", "handler": upload(jsonl({}))}
        assert api("create_batch", body=body)[0] == 201
        assert api("create_batch", body=body)[1]["subcode"] == 404653
        docs = {"a.txt": {"handler": body["handler"]}}
        answer = api("attach_twin_doc", twin, body={"docs": docs})[1]
        assert answer["docs"]["a.txt"] == {"error": "Handler not found."}

    def test_an_upload_that_was_refused_is_not(self, api, upload):
        body = {"operation": "create_twin", "handler": upload(jsonl({}))}
        assert api("create_batch", body={**body, "hash": "x"})[1]["subcode"] == 400589
        assert api("create_batch", body=body)[0] == 201

    def test_no_upload(self, api, upload, stranger, clock):
        def subcode(handler, **options):
            body = {"operation": "create_twin", "handler": handler}
            return api("create_batch", body=body, **options)[1]["subcode"]

        assert subcode("nothing") == 404653
        assert subcode(api("create_upload_url")[1]["handler"]) == 404653
        handler = upload(jsonl({}))
        assert subcode(handler, user=stranger) == 404653
        clock.advance(3_600)
        assert subcode(handler) == 404653

    @pytest.mark.parametrize(
        "fields",
        [
            {"handler": None},
            {"handler": 1},
            {"operation": None},
            {"operation": 1},
            {"operation": ["create_twin"]},
            {"operation": "make_twin"},
            {"hash": 1},
            {"hash": "a" * 63},
            {"hash": "A" * 64},
            {"hash": "a" * 64 + "\n"},
            {"batch_dict": []},
            {"batch_dict": {"Key": 1}},
            {"batch_dict": {"": 1}},
            {"more": 1},
            *({"operation": name} for name, row in OPERATIONS.items() if not row.credential),
            *({"operation": name} for name in OPERATIONS if "_batch" in name),
        ],
    )
    def test_a_wrong_body(self, api, upload, fields):
        body = {"operation": "create_twin", "handler": upload(jsonl({})), **fields}
        status, error = api("create_batch", body=body)
        assert (status, error["subcode"]) == (400, 400589)
        assert api("get_batches")[1]["batches"] == {}

    def test_a_body_is_needed(self, api):
        assert api("create_batch")[1]["subcode"] == 400589
        assert api("create_batch", body={"operation": "trace"})[1]["subcode"] == 400589
        assert api("create_batch", body={"handler": "x"})[1]["subcode"] == 400589

    def test_all_other_operations_can_be_batched(self, api, upload):
        names = [
            name for name, row in OPERATIONS.items() if row.credential and row.category != "batches"
        ]
        assert len(names) == 75
        for name in names:
            body = {"operation": name, "handler": upload(jsonl({}))}
            assert api("create_batch", body=body)[0] == 201, name

    def test_both_operations_must_be_permitted(self, api, new_user):
        def subcode(*actions):
            user = new_user(statement={"effect": "allow", "actions": list(actions)})
            body = {"operation": "create_twin", "handler": "nothing"}
            return api("create_batch", body=body, user=user)[1]["subcode"]

        assert subcode("create_batch") == 403535
        assert subcode("create_twin") == 403535
        assert subcode("create_batch", "create_twin") == 404653


class TestStatuses:
    def test_one_by_one(self, emulator, new_batch, get_batch, clock):
        batch = new_batch("create_twin", *creations(3))
        seen, moments = [batch["status"]], [batch["updated_ts"]]
        while emulator.run_batches(steps=1):
            batch = get_batch(batch)
            seen.append(batch["status"])
            moments.append(batch["updated_ts"])
        batch = get_batch(batch)
        seen.append(batch["status"])
        # Three lines, and a look for a fourth.
        assert seen == [*STATUSES[:5], *["processing"] * 3, *STATUSES[5:]]
        assert moments == sorted(moments)
        # A status of its own time each, although the clock stands still.
        assert len({*moments, batch["updated_ts"]}) == len(STATUSES)
        assert batch["created_ts"] == clock.now()
        assert emulator.run_batches() == 0
        assert get_batch(batch) == batch

    def test_to_the_end(self, emulator, new_batch, get_batch):
        batches = [new_batch("create_twin", *creations(count)) for count in (1, 2, 3)]
        assert emulator.run_batches(steps=0) == 3
        assert emulator.run_batches(steps=3) == 3
        assert {get_batch(batch)["status"] for batch in batches} == {"validating"}
        assert emulator.run_batches() == 0
        assert {get_batch(batch)["status"] for batch in batches} == {"completed"}

    def test_a_long_one_does_not_hold_up_others(self, emulator, new_batch, get_batch):
        long, short = new_batch("create_twin", *creations(50)), new_batch("create_twin", {})
        assert emulator.run_batches(steps=8) == 1
        assert get_batch(short)["status"] == "completed"
        assert get_batch(long)["status"] == "processing"

    def test_another_file_than_the_hash_says(self, emulator, new_batch, get_batch, api, files):
        batch = new_batch("create_twin", {}, hash="a" * 64)
        emulator.run_batches(steps=1)
        assert get_batch(batch)["status"] == "copying"
        assert emulator.run_batches() == 0
        batch = get_batch(batch, download=True)
        assert (batch["status"], batch["hash"]) == ("hash_mismatch", "a" * 64)
        assert "download" not in batch
        assert api("scan_twins")[1]["twins"] == []
        assert files() == set()

    def test_the_hash_of_the_file(self, emulator, new_batch, get_batch):
        content = jsonl({})
        expected = hashlib.sha256(content).hexdigest()
        batch = new_batch("create_twin", content=content, hash=expected)
        emulator.run_batches()
        assert get_batch(batch)["status"] == "completed"


class TestCancel:
    @pytest.fixture
    def cancel(self, api):
        return lambda batch: api("update_batch", batch["batch"], body={"status": "cancel"})

    @pytest.mark.parametrize("steps", range(10))
    def test_at_any_time(
        self, emulator, new_batch, cancel, get_batch, results, api, files, clock, steps
    ):
        batch = new_batch("create_twin", *creations(3))
        emulator.run_batches(steps=steps)
        before = get_batch(batch)
        assert before["status"] != "completed"
        done = len(api("scan_twins")[1]["twins"])
        clock.advance(1)
        status, cancelled = cancel(batch)
        assert (status, cancelled["status"]) == (200, "cancel")
        assert cancelled == {**before, "status": "cancel", "updated_ts": clock.now()}
        seen = []
        while emulator.run_batches(steps=1):
            seen.append(get_batch(batch)["status"])
        assert [*seen, get_batch(batch)["status"]] == ["cancelling", "cancelled"]
        # What was done stays done, and the results tell what that is.
        assert len(api("scan_twins")[1]["twins"]) == done
        if done:
            assert [result["line"] for result in results(batch)] == list(range(1, done + 1))
        else:
            assert "download" not in get_batch(batch, download=True)
            assert files() == set()

    def test_again(self, emulator, new_batch, cancel):
        batch = new_batch("create_twin", {})
        cancel(batch)
        for _ in ("cancel", "cancelling", "cancelled"):
            status, error = cancel(batch)
            assert (status, error["subcode"]) == (400, 400358)
            emulator.run_batches(steps=1)

    def test_too_late(self, emulator, new_batch, cancel, get_batch):
        batches = [
            new_batch("create_twin", {}),
            new_batch("create_twin", {}, hash="a" * 64),
            new_batch("create_twin", content=b"x"),
        ]
        emulator.run_batches()
        for batch in batches:
            before = get_batch(batch)
            status, error = cancel(batch)
            assert (status, error["subcode"]) == (400, 400592)
            assert get_batch(batch) == before

    @pytest.mark.parametrize(
        "body",
        [None, {}, {"status": "new"}, {"status": None}, {"status": "cancelled"},
         {"status": "cancel", "hash": "a" * 64}],
    )  # fmt: skip
    def test_a_wrong_body(self, api, new_batch, get_batch, body):
        batch = new_batch("create_twin", {})
        assert api("update_batch", batch["batch"], body=body)[1]["subcode"] == 400589
        assert get_batch(batch)["status"] == "new"

    def test_unknown(self, api):
        body = {"status": "cancel"}
        assert api("update_batch", str(uuid4()), body=body)[1]["subcode"] == 404653
        assert api("update_batch", "no-uuid", body=body)[1]["subcode"] == 400589


class TestDelete:
    @pytest.mark.parametrize("steps", [0, 1, 3, 5, 8, 9, None])
    def test_at_any_time(self, emulator, new_batch, get_batch, api, files, clock, steps):
        batch = new_batch("create_twin", *creations(3))
        emulator.run_batches(steps=steps)
        before = get_batch(batch)
        done = len(api("scan_twins")[1]["twins"])
        clock.advance(1)
        status, deleted = api("delete_batch", batch["batch"])
        assert status == 200
        assert deleted == {**before, "status": "deleting", "updated_ts": clock.now()}
        for name in ("get_batch", "delete_batch"):
            assert api(name, batch["batch"])[1]["subcode"] == 404653
        assert api("get_batches")[1]["batches"] == {}
        assert emulator.run_batches() == 0
        assert len(api("scan_twins")[1]["twins"]) == done
        assert files() == set()
        with emulator.store.transaction(write=False) as tx:
            assert tx.rows("SELECT * FROM batch_results") == []

    def test_its_address_ends(self, emulator, new_batch, get_batch, send, api):
        batch = new_batch("create_twin", {})
        emulator.run_batches()
        url = get_batch(batch, download=True)["download"]["url"]
        api("delete_batch", batch["batch"])
        assert send("GET", url).status == 404

    def test_unknown(self, api):
        assert api("delete_batch", str(uuid4()))[1]["subcode"] == 404653
        assert api("get_batch", "no-uuid")[1]["subcode"] == 400589


class TestList:
    @pytest.fixture
    def batches(self, new_batch, clock):
        """Five batches, a second apart."""
        batches = []
        for _ in range(5):
            clock.advance(1)
            batches.append(new_batch("create_twin", {})["batch"])
        return batches

    @pytest.fixture
    def pages(self, api):
        """Read all pages: ``pages(limit=2) -> [[uuid, ...], ...]``."""

        def pages(**query):
            pages, cursor = [], None
            while True:
                status, answer = api("get_batches", cursor=cursor, **query)
                assert status == 200, answer
                pages.append(list(answer["batches"]))
                cursor = answer["cursor"]
                if cursor is None:
                    return pages

        return pages

    def test_statuses(self, api, emulator, batches, new_batch):
        emulator.run_batches()
        new = new_batch("create_twin", {})["batch"]
        assert api("get_batches") == (
            200,
            {"batches": {new: "new", **dict.fromkeys(batches, "completed")}, "cursor": None},
        )
        assert list(api("get_batches", status="new")[1]["batches"]) == [new]
        assert set(api("get_batches", status="completed")[1]["batches"]) == set(batches)
        assert api("get_batches", status="deleting")[1] == {"batches": {}, "cursor": None}

    def test_newest_first(self, pages, batches):
        assert pages() == [batches[::-1]]
        assert pages(limit=2) == [batches[4:2:-1], batches[2:0:-1], batches[:1]]
        assert pages(limit=5) == [batches[::-1]]

    def test_oldest_first_from_a_time_on(self, pages, batches, clock):
        now = clock.now()
        assert pages(ge=now - 3) == [batches[1:]]
        assert pages(ge=now - 3, limit=3) == [batches[1:4], batches[4:]]

    def test_newest_first_up_to_a_time(self, pages, batches, clock):
        now = clock.now()
        assert pages(le=now - 1, limit=3) == [batches[3:0:-1], batches[:1]]
        assert pages(ge=now - 3, le=now - 1, limit=2) == [batches[3:1:-1], batches[1:2]]

    def test_at_the_same_time(self, pages, new_batch):
        batches = {new_batch("create_twin", {})["batch"] for _ in range(5)}
        found = [uuid for page in pages(limit=2) for uuid in page]
        assert len(found) == 5
        assert set(found) == batches

    def test_a_page_after_a_batch_that_was_deleted(self, api, batches):
        first = api("get_batches", limit=2)[1]
        api("delete_batch", batches[3])
        second = api("get_batches", limit=2, cursor=first["cursor"])[1]
        assert list(second["batches"]) == batches[2:0:-1]

    @pytest.mark.parametrize(
        "query",
        [
            {"limit": 0},
            {"limit": 1_001},
            {"ge": "x"},
            {"le": "x"},
            {"status": "done"},
            {"cursor": "x"},
            {"cursor": "eA=="},
            {"cursor": "MS4wIHg="},
            {"cursor": "/w=="},
        ],
    )
    def test_wrong_parameters(self, api, query):
        assert api("get_batches", **query)[1]["subcode"] == 400589
