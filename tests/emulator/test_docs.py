"""Docs: attaching, reading, listing, describing, removing, downloading."""

from __future__ import annotations

import hashlib
import zipfile
from io import BytesIO
from uuid import uuid4

import pytest

from ttorm.emulator.policy import Policy

CONTENT = b"Hello, Twin.\n" * 1_000
HASH = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def attach(api):
    """Attach files: ``attach(twin, {"a.txt": {...}}) -> the answered Docs``."""

    def attach(twin, docs, **options):
        status, answer = api("attach_twin_doc", twin, body={"docs": docs}, **options)
        assert status == 201, answer
        return answer["docs"]

    return attach


@pytest.fixture
def fetch(send):
    """Download from an address: ``fetch(url) -> (answer, bytes)``."""

    def fetch(url):
        answer = send("GET", url)
        return answer, b"".join(answer.stream or [answer.body])

    return fetch


@pytest.fixture
def address(api):
    """Ask for a download address: ``address(twin, "a.txt") -> {"url", "validity_ts"}``."""

    def address(twin, name, **options):
        status, doc = api("get_twin_doc", twin, name, download=True, **options)
        assert status == 200, doc
        return doc["download"]

    return address


class TestAttach:
    def test_under_way_in_the_answer_and_done_for_the_next_reader(
        self, api, twin, upload, attach, account, clock
    ):
        handler = upload(CONTENT)
        clock.advance(7)
        draft = {
            "handler": handler,
            "storage_class": "cost_optimized",
            "description": {"lang": "en"},
        }
        doc = {
            "creation_certificate": {
                "creator": account,
                "created_ts": clock.now(),
                "size": len(CONTENT),
                "hash": HASH,
            },
            "storage_class": "cost_optimized",
            "status": "copying",
            "updated_ts": clock.now(),
            "description": {"lang": "en"},
        }
        name = "Manuals/service_v2.pdf"
        assert attach(twin, {name: draft}) == {name: {"handler": handler, **doc}}
        assert api("get_twin_doc", twin, name) == (200, {**doc, "status": "ok"})

    def test_defaults(self, twin, new_doc):
        doc = new_doc(twin, "a", b"")
        assert doc["storage_class"] == "access_optimized"
        assert "description" not in doc
        assert doc["creation_certificate"]["size"] == 0

    def test_one_file_for_many_docs_and_twins(self, api, new_twin, upload, attach):
        handler = upload(CONTENT)
        for twin in (new_twin(), new_twin()):
            made = attach(twin, {name: {"handler": handler} for name in ("a.txt", "b.txt")})
            assert not any("error" in doc for doc in made.values())

    def test_a_right_hash_in_any_case(self, api, twin, new_doc):
        doc = new_doc(twin, "a.txt", CONTENT, hash=HASH.upper())
        assert doc["creation_certificate"]["hash"] == HASH
        assert api("get_twin_doc", twin, "a.txt")[1]["status"] == "ok"

    def test_a_wrong_hash(self, api, twin, new_doc, attach, upload):
        wrong = "0" * 64
        assert new_doc(twin, "a.txt", CONTENT, hash=wrong)["status"] == "copying"
        _, doc = api("get_twin_doc", twin, "a.txt", download=True)
        assert doc["status"] == "hash_mismatch"
        assert doc["creation_certificate"]["hash"] == wrong
        assert "download" not in doc
        # Its name is taken all the same.
        assert "a.txt" in api("get_twin_docs", twin)[1]["docs"]
        assert attach(twin, {"a.txt": {"handler": upload(b"")}})["a.txt"].get("error")
        api("delete_twin_doc", twin, "a.txt")
        assert "error" not in attach(twin, {"a.txt": {"handler": upload(b"")}})["a.txt"]

    def test_errors_of_single_docs(self, api, twin, upload, attach, stranger, clock):
        empty = api("create_upload_url")[1]["handler"]
        foreign = upload(CONTENT, user=stranger)
        closed = upload(CONTENT)
        api("invalidate_upload_url", closed)
        good = upload(CONTENT)
        attach(twin, {"taken.txt": {"handler": good}})
        answer = attach(
            twin,
            {
                "taken.txt": {"handler": good},
                "unknown.txt": {"handler": "nothing"},
                "closed.txt": {"handler": closed},
                "foreign.txt": {"handler": foreign},
                "empty.txt": {"handler": empty},
                "good.txt": {"handler": good},
            },
        )
        assert {name: doc.get("error") for name, doc in answer.items()} == {
            "taken.txt": "Doc already exists.",
            "unknown.txt": "Handler not found.",
            "closed.txt": "Handler not found.",
            "foreign.txt": "Handler not found.",
            "empty.txt": "File not uploaded.",
            "good.txt": None,
        }
        clock.advance(3_600)
        late = attach(twin, {"late.txt": {"handler": good}})
        assert late == {"late.txt": {"error": "Handler not found."}}

    @pytest.mark.parametrize(
        "docs",
        [
            {},
            [],
            None,
            {"a.tar.gz": {}},
            {"a b c": {}},
            {"/a": {}},
            {"a/": {}},
            {"../a": {}},
            {"a/b/c/d/e/f/g/h": {}},
            {"x" * 42: {}},
            {"a.123456789": {}},
            {"a.txt": {"handler": None}},
            {"a.txt": {"storage_class": "fast"}},
            {"a.txt": {"description": {"Key": 1}}},
            {"a.txt": {"description": 1}},
            {"a.txt": {"hash": "abc"}},
            {"a.txt": {"hash": 5}},
            {"a.txt": {"visibility": "true"}},
            {"a.txt": None},
        ],
    )
    def test_a_wrong_body_attaches_nothing(self, api, twin, upload, docs):
        handler = upload(b"")
        if isinstance(docs, dict) and docs:
            name, fields = next(iter(docs.items()))
            if isinstance(fields, dict):
                fields = {"handler": handler, **fields}
            docs = {"good.txt": {"handler": handler}, name: fields}
        status, error = api("attach_twin_doc", twin, body={"docs": docs})
        assert (status, error["subcode"]) == (400, 400589)
        assert api("get_twin_docs", twin)[1]["docs"] == {}

    def test_a_handler_is_needed(self, api, twin):
        for body in (None, {}, {"docs": {"a.txt": {}}}, {"handler": "x", "doc_name": "a.txt"}):
            assert api("attach_twin_doc", twin, body=body)[1]["subcode"] == 400589

    # The published rule has an unescaped dot before the extension, hence the blank.
    @pytest.mark.parametrize(
        "name", ["a", "A-1_/b.txt", "1/2/3/4/5/" + "x" * 32 + ".12345678", "file name"]
    )
    def test_names(self, api, twin, new_doc, name):
        new_doc(twin, name, b"1")
        assert api("get_twin_doc", twin, name)[0] == 200
        assert name in api("get_twin_docs", twin)[1]["docs"]

    def test_a_name_whose_slashes_are_not_encoded(self, send, user, twin, new_doc):
        new_doc(twin, "a/b/c.txt", b"1")
        assert send("GET", f"/twins/{twin}/docs/a/b/c.txt", user=user).status == 200
        assert send("GET", f"/twins/{twin}/docs/a%2Fb%2Fc.txt", user=user).status == 200


class TestWho:
    def test_docs_are_their_accounts_own(self, api, twin, new_doc, stranger, stranger_account):
        new_doc(twin, "a.txt", b"ours")
        theirs = new_doc(twin, "a.txt", b"theirs!", user=stranger)
        assert theirs["creation_certificate"]["creator"] == stranger_account
        assert api("get_twin_doc", twin, "a.txt")[1]["creation_certificate"]["size"] == 4
        new_doc(twin, "b.txt", b"theirs", user=stranger)
        for operation in ("get_twin_doc", "update_twin_doc", "delete_twin_doc"):
            assert api(operation, twin, "b.txt")[1]["subcode"] == 404653
        assert set(api("get_twin_docs", twin)[1]["docs"]) == {"a.txt"}
        api("delete_twin_docs", twin)
        assert set(api("get_twin_docs", twin, user=stranger)[1]["docs"]) == {"a.txt", "b.txt"}

    def test_unknown_twins_and_malformed_names(self, api, twin):
        for operation in ("get_twin_doc", "update_twin_doc", "delete_twin_doc"):
            assert api(operation, str(uuid4()), "a.txt")[1]["subcode"] == 404653
            assert api(operation, twin, "a.tar.gz")[1]["subcode"] == 400589


class TestDescription:
    def test_replaced_emptied_removed_or_left(self, api, twin, new_doc, clock):
        created = new_doc(twin, "a.txt", b"1", description={"a": 1, "b": 2})
        clock.advance(1)
        status, doc = api("update_twin_doc", twin, "a.txt", body={"description": {"b": 3}})
        assert status == 200
        assert doc["description"] == {"b": 3}
        assert doc["updated_ts"] == clock.now()
        assert doc["creation_certificate"] == created["creation_certificate"]
        clock.advance(1)
        assert api("update_twin_doc", twin, "a.txt")[1]["description"] == {"b": 3}
        assert api("get_twin_doc", twin, "a.txt")[1]["updated_ts"] == clock.now()
        doc = api("update_twin_doc", twin, "a.txt", body={"description": {}})[1]
        assert doc["description"] == {}
        doc = api("update_twin_doc", twin, "a.txt", body={"description": None})[1]
        assert "description" not in doc
        assert api("get_twin_doc", twin, "a.txt")[1] == doc

    @pytest.mark.parametrize("body", [{"description": {"A": 1}}, {"storage_class": "x"}])
    def test_nothing_else(self, api, twin, new_doc, body):
        new_doc(twin, "a.txt", b"1")
        assert api("update_twin_doc", twin, "a.txt", body=body)[1]["subcode"] == 400589


class TestListing:
    @pytest.fixture
    def twin(self, twin, new_doc, api, clock):
        for name in ("b.txt", "Manuals/a.txt", "Manuals/de/a.txt"):
            new_doc(twin, name, b"12345")
        clock.advance(10)
        api("update_twin_doc", twin, "b.txt", body={"description": {}})
        return twin

    def test_a_list_of_times_and_sizes(self, api, twin, clock):
        now = clock.now()
        assert api("get_twin_docs", twin) == (
            200,
            {
                "docs": {
                    "Manuals/a.txt": [now - 10, now - 10, 5],
                    "Manuals/de/a.txt": [now - 10, now - 10, 5],
                    "b.txt": [now - 10, now, 5],
                }
            },
        )
        assert api("get_twin_docs", twin, view="list") == api("get_twin_docs", twin)

    def test_a_tree(self, api, twin):
        tree = api("get_twin_docs", twin, view="tree")[1]["docs"]
        assert set(tree) == {"Manuals", "b.txt"}
        assert set(tree["Manuals"]) == {"a.txt", "de"}
        assert tree["Manuals"]["de"]["a.txt"][2] == 5

    def test_a_tree_with_a_doc_named_as_a_folder(self, api, twin, new_doc):
        new_doc(twin, "Manuals", b"1")
        tree = api("get_twin_docs", twin, view="tree")[1]["docs"]
        assert tree["Manuals"][2] == 1
        assert set(tree["Manuals/"]) == {"a.txt", "de"}

    @pytest.mark.parametrize(
        ("mask", "expected"),
        [
            ("^Manuals/", {"Manuals/a.txt", "Manuals/de/a.txt"}),
            ("a", {"Manuals/a.txt", "Manuals/de/a.txt"}),
            (r"^[^/]+$", {"b.txt"}),
            (".*de.*", {"Manuals/de/a.txt"}),
            ("nothing", set()),
            ("", {"Manuals/a.txt", "Manuals/de/a.txt", "b.txt"}),
        ],
    )
    def test_masks(self, api, twin, mask, expected):
        assert set(api("get_twin_docs", twin, mask=mask)[1]["docs"]) == expected

    @pytest.mark.parametrize("mask", ["(", "(a+)+$", "a" * 300])
    def test_masks_that_are_none_or_would_take_for_ever(self, api, twin, mask):
        assert api("get_twin_docs", twin, mask=mask)[1]["subcode"] == 400589

    def test_an_unknown_view(self, api, twin):
        for operation in ("get_twin_docs", "delete_twin_docs"):
            assert api(operation, twin, view="table")[1]["subcode"] == 400589
        assert len(api("get_twin_docs", twin)[1]["docs"]) == 3

    @pytest.mark.parametrize("view", ["list", "tree"])
    def test_deleting_all_lists_them(self, api, twin, view):
        before = api("get_twin_docs", twin, view=view)
        assert api("delete_twin_docs", twin, view=view) == before
        assert api("get_twin_docs", twin) == (200, {"docs": {}})
        assert api("delete_twin_docs", twin) == (200, {"docs": {}})

    def test_a_trailing_slash(self, send, user, twin):
        assert send("GET", f"/twins/{twin}/docs/", user=user).status == 200


class TestDelete:
    def test_the_doc_is_answered_as_it_was(self, api, twin, new_doc):
        new_doc(twin, "a.txt", b"1", description={"a": 1})
        before = api("get_twin_doc", twin, "a.txt")
        assert api("delete_twin_doc", twin, "a.txt") == before
        assert api("get_twin_doc", twin, "a.txt")[1]["subcode"] == 404653
        assert api("delete_twin_doc", twin, "a.txt")[1]["subcode"] == 404653


class TestDownload:
    def test_the_bytes_come_back(self, twin, new_doc, address, fetch, account, clock):
        new_doc(twin, "Manuals/a.txt", CONTENT)
        download = address(twin, "Manuals/a.txt")
        assert download["validity_ts"] == clock.now() + 3_600
        assert f"/download/{account}/" in download["url"]
        answer, content = fetch(download["url"])
        assert content == CONTENT
        assert answer.status == 200
        assert answer.headers == {
            "content-type": "application/octet-stream",
            "content-disposition": 'attachment; filename="a.txt"',
            "content-length": str(len(CONTENT)),
        }

    def test_only_when_it_is_asked_for(self, api, twin, new_doc):
        new_doc(twin, "a.txt", b"1")
        assert "download" not in api("get_twin_doc", twin, "a.txt")[1]
        assert "download" not in api("get_twin_doc", twin, "a.txt", validity_ts=2e9)[1]

    def test_until_it_expires(self, twin, new_doc, address, fetch, clock):
        new_doc(twin, "a.txt", b"1")
        hour = address(twin, "a.txt")["url"]
        short = address(twin, "a.txt", validity_ts=clock.now() + 10)
        assert short["validity_ts"] == clock.now() + 10
        clock.advance(9.999)
        assert fetch(short["url"])[0].status == 200
        clock.advance(0.001)
        assert fetch(short["url"])[0].status == 404
        assert b"404653" in fetch(short["url"])[1]
        assert fetch(hour)[0].status == 200
        clock.advance(3_600)
        assert fetch(hour)[0].status == 404

    @pytest.mark.parametrize("validity_ts", [1_718_000_000.5, 0, "soon"])
    def test_a_time_that_is_none_or_over(self, api, twin, new_doc, validity_ts):
        new_doc(twin, "a.txt", b"1")
        answer = api("get_twin_doc", twin, "a.txt", download=True, validity_ts=validity_ts)
        assert answer[1]["subcode"] == 400589

    def test_not_after_the_doc_is_gone(self, api, twin, new_doc, address, fetch):
        new_doc(twin, "a.txt", b"old")
        old = address(twin, "a.txt")["url"]
        api("delete_twin_doc", twin, "a.txt")
        assert fetch(old)[0].status == 404
        new_doc(twin, "a.txt", b"new")
        assert fetch(old)[0].status == 404
        assert fetch(address(twin, "a.txt")["url"])[1] == b"new"

    def test_addresses_cannot_be_made_up(self, twin, new_doc, address, fetch, stranger_account):
        new_doc(twin, "a.txt", b"1")
        url = address(twin, "a.txt")["url"]
        base, handler = url.rsplit("/", 1)
        for made_up in (
            f"{base}/{handler[:-1]}{'0' if handler[-1] != '0' else '1'}",
            f"{base}/{handler.replace('-17', '-27', 1)}",
            f"{base}/{handler}%C3%A9",
            f"{base}/x",
            f"{base}/{uuid4()}-1727786150",
            f"{base.rsplit('/', 1)[0]}/{stranger_account}/{handler}",
        ):
            answer, _ = fetch(made_up)
            assert answer.status == 404, made_up
        assert fetch(f"{base.rsplit('/', 1)[0]}/nobody/{handler}")[0].status == 400

    def test_strange_characters_do_not_reach_the_header(self, twin, new_doc, address, fetch):
        new_doc(twin, 'a"txt', b"1")
        answer, _ = fetch(address(twin, 'a"txt')["url"])
        assert answer.headers["content-disposition"] == 'attachment; filename="a_txt"'


class TestZippedDownload:
    @pytest.fixture
    def policy(self):
        return Policy(zip_downloads=True)

    def test_one_member_with_the_docs_name(self, twin, new_doc, address, fetch):
        new_doc(twin, "folder/a.txt", CONTENT)
        answer, content = fetch(address(twin, "folder/a.txt")["url"])
        assert answer.headers["content-type"] == "application/zip"
        with zipfile.ZipFile(BytesIO(content)) as archive:
            assert archive.namelist() == ["a.txt"]
            assert archive.read("a.txt") == CONTENT
