"""Seed data: a world out of one JSON file."""

from __future__ import annotations

import json
from copy import deepcopy
from hashlib import sha256

import pytest

from ttorm.api.errors import ConfigurationError
from ttorm.api.http import HttpRequest
from ttorm.emulator import Emulator
from ttorm.emulator.bootstrap import make_account

WORLD = {
    "accounts": {
        "works": {
            "roles": {"operator": {"rules": {"twin_rule": "true"}}},
            "users": {
                "alice": {"role": "operator", "description": {"team": "ops"}, "secret": True},
            },
            "timeseries": {
                "pressure": {
                    "dimensions": {"names": ["pump"], "types": ["uuid"]},
                    "measurements": {"names": ["bar"], "types": ["real"]},
                    "defaults": {"measurement": "bar", "dimensions": {"pump": "{twin}"}},
                }
            },
            "indexes": {
                "hot": {
                    "rule": "LEDGER.bar > 2",
                    "properties": {"names": ["bar"], "types": ["real"]},
                    "templates": {"properties": {"bar": "{LEDGER.bar}"}},
                }
            },
            "twins": {
                "north.1": {
                    "description": {"kind": "pump"},
                    "identities": {"SN#1": {"visibility": "true"}},
                    "entries": {
                        "bar": {
                            "value": 2.5,
                            "visibility": "true",
                            "history": "3M",
                            "timeseries": {"pressure": {}},
                        }
                    },
                    "docs": {
                        "a/manual.txt": {"text": "Turn it on.", "description": {"lang": "en"}},
                        "b.bin": {"base64": "AAEC"},
                    },
                    "stickers": {
                        "red": {
                            "recipients": ["${user:works/alice}"],
                            "validity_ts": "${now+3600}",
                        }
                    },
                },
                "south": {
                    "description": {"before": "${twin:north.1}"},
                    "entries": {
                        "other": {"ref": {"source": "twin://${twin:north.1}/${account:works}/bar"}}
                    },
                    "terminated": True,
                },
            },
        },
        "partner": {
            "rules": {"twin_rule": "true", "entry_rule": "true"},
            "ledgers": {"north.1": {"rating": {"value": 5}}},
        },
    }
}


@pytest.fixture
def world():
    return deepcopy(WORLD)


def get(emulator, path, user=None):
    answer = emulator.handle(
        HttpRequest("GET", f"http://localhost{path}"), user or emulator.first_user()
    )
    assert answer.status == 200, answer
    return json.loads(answer.body)


class TestLoading:
    def test_everything(self, emulator, clock, world, send):
        seed = emulator.load(world)
        assert emulator.accounts() == [seed.accounts["works"], seed.accounts["partner"]]
        north, south = seed.twins["north.1"], seed.twins["south"]

        assert get(emulator, f"/twins/{south}")["description"] == {"before": north}
        assert get(emulator, f"/twins/{south}")["status"] == "terminated"
        assert get(emulator, f"/twins/{north}/identities/SN%231")["visibility"] == "true"
        (bar,) = get(emulator, f"/twins/{north}/ledgers/personal")["entries"].values()
        assert (bar["value"], bar["history"]) == (2.5, "3M")
        other = get(emulator, f"/twins/{south}/ledgers/personal")["entries"]["other"]
        assert (other["value"], other["ref"]["status"]) == (2.5, "ok")

        docs = get(emulator, f"/twins/{north}/docs")["docs"]
        assert {name: doc[2] for name, doc in docs.items()} == {"a/manual.txt": 11, "b.bin": 3}
        doc = get(emulator, f"/twins/{north}/docs/b.bin?download=true")
        assert b"".join(send("GET", doc["download"]["url"]).stream) == b"\0\1\2"

        user = seed.users["works/alice"]
        assert get(emulator, f"/users/{user}")["role"] == seed.roles["works/operator"]
        headers = {"authorization": seed.secrets["works/alice"]}
        assert json.loads(send("GET", "/whoami", headers=headers).body)["user"] == user
        sticker = get(emulator, f"/twins/{north}/stickers/red")
        assert (sticker["recipients"], sticker["validity_ts"]) == ([user], clock.now() + 3600)

        assert emulator.sql("SELECT pump, bar FROM ts_1_pressure") == [{"pump": north, "bar": 2.5}]
        assert emulator.sql("SELECT bar FROM ix_1_hot WHERE _twin = ?", north) == [{"bar": 2.5}]
        partner = seed.accounts["partner"]
        (row,) = emulator.sql("SELECT value FROM entries WHERE account = ?", partner)
        assert row == {"value": "5"}

    def test_a_file_and_files_beside_it(self, emulator, tmp_path, send):
        (tmp_path / "manual.bin").write_bytes(b"\0manual")
        twins = {"north": {"docs": {"manual.bin": {"file": "manual.bin"}}}}
        path = tmp_path / "world.json"
        path.write_text(json.dumps({"accounts": {"works": {"twins": twins}}}))
        twin = emulator.load(path).twins["north"]
        assert emulator.load(str(path)).twins["north"] != twin
        doc = get(emulator, f"/twins/{twin}/docs/manual.bin?download=true")
        assert b"".join(send("GET", doc["download"]["url"]).stream) == b"\0manual"

    @pytest.mark.parametrize("name", ["../secret.txt", "link.txt"])
    def test_files_elsewhere_are_not_read(self, emulator, tmp_path, name):
        (tmp_path / "secret.txt").write_text("secret")
        folder = tmp_path / "data"
        folder.mkdir()
        (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
        twins = {"north": {"docs": {"a.txt": {"file": name}}}}
        path = folder / "world.json"
        path.write_text(json.dumps({"accounts": {"works": {"twins": twins}}}))
        with pytest.raises(ConfigurationError, match="not beside the data"):
            emulator.load(path)

    def test_the_same_seed_gives_the_same_world(self, world):
        worlds = []
        for _ in range(2):
            with Emulator(seed=7) as emulator:
                worlds.append(emulator.load(world))
        assert worlds[0] == worlds[1]

    def test_the_first_account_is_the_one_there_is(self, emulator, account):
        seed = emulator.load({"accounts": {"mine": {}, "other": {}}})
        assert seed.accounts["mine"] == account
        assert len(emulator.accounts()) == 2

    def test_accounts_by_name(self, emulator, account):
        partner = make_account(emulator).account
        twins = {"theirs": {}}
        described = {"mine": {}, "partner": {"twins": twins}, "new": {}}
        seed = emulator.load({"accounts": described}, {"mine": account, "partner": partner})
        assert (seed.accounts["mine"], seed.accounts["partner"]) == (account, partner)
        assert len(emulator.accounts()) == 3

    def test_on_another_store(self, store_url, world):
        with Emulator(store_url) as emulator:
            seed = emulator.load(world)
            assert len(seed.twins) == 2
            docs = get(emulator, f"/twins/{seed.twins['north.1']}/docs")["docs"]
            assert docs["b.bin"][2] == 3

    def test_nothing_at_all(self, emulator):
        assert emulator.load({"accounts": {}}).twins == {}


def at(world, path, value):
    *places, last = path.split("/")
    for place in places:
        world = world[place]
    world[last] = value


class TestMistakes:
    @pytest.mark.parametrize(
        ("path", "value", "told"),
        [
            ("users", {}, r"\$: expected the fields accounts, found 'users'"),
            ("accounts", [], r"\$\.accounts: expected a JSON object, found list"),
            ("accounts/works/twin", {}, r"\$\.accounts\.works: expected .* found 'twin'"),
            ("accounts/works/twins/south/entry", {}, r"\$\.accounts\.works\.twins\.south: expect"),
            ("accounts/works/roles/operator/rules", {"twin_rule": "("}, r"\.roles\.operator: "),
            ("accounts/works/users/alice/role", "boss", r"alice: expected a role .*'works/b"),
            ("accounts/works/twins/south/description", {"A": 1}, r"\.south: .*lower-case"),
            ("accounts/works/twins/south/entries", {"a": {}}, r"south\.entries: .*"),
            ("accounts/works/twins/south/entries", {"a": {"value": "${twin:west}"}}, "'west'"),
            ("accounts/works/twins/south/entries", {"a": {"value": "x" * 70_000}}, r"\.en.*65,536"),
            ("accounts/works/twins/south/identities", {"nothing": {}}, r"south\.identities"),
            ("accounts/works/twins/south/docs", {"a.txt": {}}, r"docs\.a\.txt: .*found none"),
            ("accounts/works/twins/south/docs", {"a.txt": {"base64": "?"}}, r"base64: cannot be"),
            ("accounts/works/twins/south/docs", {"a.txt": {"file": "/no/a"}}, r"file: cannot be"),
            ("accounts/works/twins/south/stickers", {"red": {}}, r"south\.stickers: "),
            ("accounts/works/timeseries", {"t": {}}, r"works\.timeseries: "),
            ("accounts/partner/twins", {"south": {}}, r"no other Twin has"),
            ("accounts/partner/ledgers", {"west": {}}, r"ledgers\.west: .*found 'west'"),
            ("accounts/partner/rules", {}, r"\.partner\.ledgers\.north\.1: Twin not visible"),
        ],
    )  # fmt: skip
    def test_they_are_told_with_their_place_and_nothing_is_kept(
        self, emulator, world, path, value, told
    ):
        at(world, path, value)
        with pytest.raises(ConfigurationError, match=told):
            emulator.load(world)
        assert emulator.accounts() == []
        assert emulator.sql("SELECT COUNT(*) AS count FROM twins") == [{"count": 0}]
        assert not emulator.blobs.has(sha256(b"Turn it on.").hexdigest())

    def test_an_item_that_is_refused(self, emulator, world):
        source = "twin://${twin:south}/${account:works}/other"
        at(world, "accounts/works/twins/south/entries", {"other": {"ref": {"source": source}}})
        with pytest.raises(ConfigurationError, match=r"south\.entries\.other: Reference source"):
            emulator.load(world)

    def test_files(self, emulator, tmp_path):
        with pytest.raises(ConfigurationError, match="cannot be read"):
            emulator.load(tmp_path / "missing.json")
        path = tmp_path / "broken.json"
        path.write_text("{")
        with pytest.raises(ConfigurationError, match="is no JSON"):
            emulator.load(path)
