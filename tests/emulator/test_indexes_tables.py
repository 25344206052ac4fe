"""Indexes tables: making, listing, changing, emptying and deleting them."""

from __future__ import annotations

import pytest

from ttorm.emulator.handlers.tables import MAX_TABLES
from ttorm.emulator.policy import Policy

TABLE = {
    "rule": "LEDGER.serial > 3",
    "properties": {"names": ["serial", "model"], "types": ["int", "varchar"]},
    "templates": {"properties": {"serial": "{LEDGER[serial]}", "model": "{LEDGER[model]}"}},
}
BARE = {
    "rule": "true",
    "properties": {"names": [], "types": []},
    "templates": {"properties": {}},
}
STATS = {"table_size": 8192, "index_size": 8192, "toast_size": 0, "total_size": 16384}


@pytest.fixture
def create(api):
    """Make tables: ``create(serials={...}) -> what was answered for each``."""

    def create(**tables):
        status, answer = api("create_indexes_table", body={"indexes": tables})
        assert status == 201, answer
        return answer["indexes"]

    return create


@pytest.fixture
def change(api):
    """Change the table serials: ``change(rule="true") -> (status, answer)``."""

    def change(**fields):
        return api("update_indexes_table", "serials", body=fields)

    return change


class TestCreate:
    def test_a_table(self, api, create, columns):
        whole = {"stats": STATS, **TABLE, "database": api("get_databases")[1]["default"]}
        assert create(serials=TABLE) == {"serials": whole}
        assert api("get_indexes_table", "serials") == (200, whole)
        assert columns("ix_1_serials") == {
            "_twin": "TEXT",
            "serial": "INTEGER",
            "model": "VARCHAR",
        }

    def test_several_of_which_one_exists(self, api, create):
        create(serials=TABLE)
        answer = create(serials=BARE, all=BARE)
        assert answer["serials"] == {"error": "Table already exists."}
        assert answer["all"]["rule"] == "true"
        assert api("get_indexes_tables") == (200, {"indexes": ["all", "serials"]})
        assert api("get_indexes_table", "serials")[1]["rule"] == TABLE["rule"]

    def test_a_hundred_at_most(self, api, create):
        create(**{f"t{number}": BARE for number in range(MAX_TABLES - 1)})
        answer = create(t1=BARE, last=BARE, more=BARE)
        assert answer["t1"] == {"error": "Table already exists."}
        assert "error" not in answer["last"]
        assert answer["more"] == {"error": "There are 100 tables already."}
        assert len(api("get_indexes_tables")[1]["indexes"]) == 100

    def test_in_a_database(self, api, create, stranger):
        own = api("get_databases")[1]["default"]
        foreign = api("get_databases", user=stranger)[1]["default"]
        answer = create(a={**BARE, "database": own}, b={**BARE, "database": foreign})
        assert answer["a"]["database"] == own
        assert answer["b"] == {"error": "Database does not exist."}

    def test_each_account_has_its_own(self, api, create, stranger, columns):
        create(serials=TABLE)
        assert api("get_indexes_table", "serials", user=stranger)[1]["subcode"] == 404653
        api("create_indexes_table", body={"indexes": {"serials": BARE}}, user=stranger)
        assert list(columns("ix_2_serials")) == ["_twin"]
        assert api("get_indexes_tables", user=stranger)[1] == {"indexes": ["serials"]}

    @pytest.mark.parametrize(
        "more",
        [
            {"rule": None},
            {"rule": "LEDGER.serial >"},
            {"rule": True},
            {"properties": None},
            {"properties": {"names": ["serial"], "types": ["int"]}},
            {"properties": {"names": ["serial", "model", "x"], "types": ["int"] * 3}},
            {"properties": {"names": ["serial", "model"], "types": ["int", "string"]}},
            {"properties": {"names": ["_twin", "model"], "types": ["int", "int"]}},
            {"properties": {"names": ["serial", "serial"], "types": ["int", "int"]}},
            {"templates": None},
            {"templates": {}},
            {"templates": {"properties": {"serial": "{LEDGER[serial]}"}}},
            {"templates": {"properties": {"serial": "{}", "model": "x"}}},
            {"templates": {"properties": {"serial": 1, "model": "x"}}},
            {"templates": {**TABLE["templates"], "more": {}}},
            {"database": "default"},
            {"dimensions": {}},
        ],
    )
    def test_bad_tables(self, api, more):
        body = {"indexes": {"good": BARE, "serials": {**TABLE, **more}}}
        assert api("create_indexes_table", body=body)[1]["subcode"] == 400589
        assert api("get_indexes_tables")[1] == {"indexes": []}

    @pytest.mark.parametrize("missing", ["rule", "properties", "templates"])
    def test_missing_parts(self, api, missing):
        table = {name: part for name, part in TABLE.items() if name != missing}
        body = {"indexes": {"serials": table}}
        assert api("create_indexes_table", body=body)[1]["subcode"] == 400589

    @pytest.mark.parametrize(
        "body", [None, {}, {"indexes": {}}, {"indexes": {"index-name": BARE}}, {"indexes": [BARE]}]
    )
    def test_bad_bodies(self, api, body):
        assert api("create_indexes_table", body=body)[1]["subcode"] == 400589


class TestUpdate:
    @pytest.fixture(autouse=True)
    def _serials(self, create):
        create(serials=TABLE)

    def test_rename_and_add(self, api, change, columns):
        templates = {"serial": "{LEDGER[serial]}", "model_code": "{LEDGER.m}", "city": "Oslo"}
        status, table = change(
            properties={
                "names": ["serial", ["model", "model_code"], "city"],
                "types": ["int", "varchar", "varchar"],
            },
            templates={"properties": templates},
        )
        assert status == 200
        assert table["properties"]["names"] == ["serial", "model_code", "city"]
        assert table["templates"] == {"properties": templates}
        assert table == api("get_indexes_table", "serials")[1]
        assert list(columns("ix_1_serials")) == ["_twin", "serial", "model_code", "city"]

    def test_rule_and_templates(self, api, change):
        templates = {"properties": {"serial": "1", "model": "x"}}
        status, table = change(rule="LEDGER.serial > 4", templates=templates)
        assert (status, table["rule"], table["templates"]) == (200, "LEDGER.serial > 4", templates)
        assert change() == (200, table)

    @pytest.mark.parametrize(
        "properties",
        [
            {"names": ["serial"], "types": ["int"]},
            {"names": ["model", "serial"], "types": ["varchar", "int"]},
            {"names": ["serial", "model"], "types": ["bigint", "varchar"]},
        ],
    )
    def test_what_tables_do_not_allow(self, api, change, properties):
        assert change(properties=properties)[1]["subcode"] == 400897

    def test_the_database_stays(self, api, change):
        assert change(database="x")[1]["subcode"] == 400897

    @pytest.mark.parametrize(
        "fields",
        [
            {"rule": None},
            {"rule": ""},
            {
                "properties": {
                    "names": ["serial", "model", "new"],
                    "types": ["int", "varchar", "int"],
                }
            },
            {"properties": {"names": ["serial", ["model", "m"]], "types": ["int", "varchar"]}},
            {"properties": {"names": ["serial", ["model", "serial"]], "types": ["int", "varchar"]}},
            {"templates": {"properties": {"serial": "x"}}},
            {"templates": {"properties": {"serial": "x", "model": "x", "more": "x"}}},
            {"templates": {"properties": {"serial": "x", "model": "{"}}},
            {"templates": None},
            {"more": 1},
        ],
    )
    def test_bad_bodies(self, api, change, fields):
        before = api("get_indexes_table", "serials")
        assert change(**fields)[1]["subcode"] == 400589
        assert api("get_indexes_table", "serials") == before

    def test_a_body_is_needed(self, api):
        assert api("update_indexes_table", "serials")[1]["subcode"] == 400589


class TestDelete:
    def test_it_is_gone(self, api, create, columns):
        made = create(serials=TABLE, all=BARE)["serials"]
        assert api("delete_indexes_table", "serials") == (200, made)
        assert api("get_indexes_tables")[1] == {"indexes": ["all"]}
        assert api("get_indexes_table", "serials")[1]["subcode"] == 404653
        assert columns("ix_1_serials") == {}
        assert create(serials=BARE)["serials"]["rule"] == "true"

    def test_truncating_keeps_the_table(self, api, create):
        made = create(serials=TABLE)["serials"]
        assert api("truncate_indexes_table", "serials") == (200, made)
        assert api("get_indexes_tables")[1] == {"indexes": ["serials"]}


OF_ONE = ("get", "update", "truncate", "delete")


@pytest.mark.parametrize("verb", OF_ONE)
@pytest.mark.parametrize("name", ["serials", "Serials!", "ix_1_serials"])
def test_unknown_tables(api, user, verb, name):
    body = {"body": {}} if verb == "update" else {}
    assert api(f"{verb}_indexes_table", name, **body)[1]["subcode"] == 404653


class TestWithoutTheService:
    @pytest.fixture
    def policy(self):
        return Policy(services=("databases", "timeseries"))

    def test_refused(self, api, user):
        body = {"indexes": {"serials": TABLE}}
        assert api("create_indexes_table", body=body)[1]["subcode"] == 400979
        assert api("create_indexes_table", body={"indexes": {}})[1]["subcode"] == 400589
        assert api("get_indexes_tables")[1]["subcode"] == 400979
        for verb in OF_ONE:
            body = {"body": {}} if verb == "update" else {}
            assert api(f"{verb}_indexes_table", "x", **body)[1]["subcode"] == 400979
