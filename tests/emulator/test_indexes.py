"""Indexes: which Ledgers have rows, what is in them, and what answers say about it."""

from __future__ import annotations

import pytest

from ttorm.emulator.policy import Policy

SERIALS = {
    "rule": "LEDGER.serial > 3",
    "properties": {"names": ["serial", "model"], "types": ["int", "varchar"]},
    "templates": {"properties": {"serial": "{LEDGER[serial]}", "model": "{LEDGER[model]}"}},
}
ALL = {
    "rule": "true",
    "properties": {"names": [], "types": []},
    "templates": {"properties": {}},
}


@pytest.fixture
def create(api):
    """Make tables: ``create(serials={...})``."""

    def create(**tables):
        status, answer = api("create_indexes_table", body={"indexes": tables})
        assert status == 201, answer
        assert not [made for made in answer["indexes"].values() if "error" in made]

    return create


@pytest.fixture
def rows(emulator):
    """Read a table: ``rows() -> {twin: (property, ...)}``."""

    def rows(table="ix_1_serials"):
        found = emulator.sql(f"SELECT * FROM {table}")
        return {twin: tuple(row) for twin, *row in (row.values() for row in found)}

    return rows


@pytest.fixture
def indexes(api):
    """Read what a Ledger's answer says: ``indexes(twin) -> [name, ...]``."""
    return lambda twin, **options: api("get_twin_ledger_entry", twin, **options)[1]["indexes"]


@pytest.fixture
def log(api):
    """Take the messages out of the log."""
    return lambda: api("get_log")[1]["messages"]


class TestRows:
    @pytest.fixture(autouse=True)
    def _serials(self, create):
        create(serials=SERIALS)

    def test_a_ledger_enters_changes_and_leaves(
        self, api, twin, add, update_value, rows, indexes, log
    ):
        add(twin, serial={"value": 3}, model={"value": "X1"})
        assert (rows(), indexes(twin)) == ({}, [])
        update_value(twin, serial=4)
        assert (rows(), indexes(twin)) == ({twin: (4, "X1")}, ["serials"])
        update_value(twin, model="X2")
        assert rows() == {twin: (4, "X2")}
        update_value(twin, serial=0)
        assert (rows(), indexes(twin)) == ({}, [])
        update_value(twin, serial=7)
        api("delete_twin_ledger_entry", twin, entries="model")
        assert rows() == {twin: (7, None)}
        api("delete_twin_ledger_entry", twin)
        assert (rows(), indexes(twin)) == ({}, [])
        assert log() == []

    def test_one_row_for_each_twin(self, new_twin, add, rows):
        twins = [new_twin() for _ in range(3)]
        for number, twin in enumerate(twins):
            add(twin, serial={"value": 3 + number}, model={"value": "X1"})
        assert rows() == {twins[1]: (4, "X1"), twins[2]: (5, "X1")}

    def test_what_answers_say(self, api, twin, account, create):
        create(all=ALL)
        entries = {"serial": {"value": 4}}
        status, ledger = api("add_twin_ledger_entry", twin, body={"entries": entries})
        assert (status, ledger["indexes"]) == (201, ["all", "serials"])
        assert api("get_twin_ledger_entry", twin)[1]["indexes"] == ["all", "serials"]
        assert api("get_twin_ledger_entry", twin, account)[1]["indexes"] == ["all", "serials"]
        assert api("get_twin_ledger_entry", twin, "owner", entries="x")[1]["indexes"]
        for name, value in (("", 5), ("_value", 3)):
            body = {"entries": {"serial": {"value": value}}}
            _, ledger = api(f"update_twin_ledger_entry{name}", twin, body=body)
            assert ledger["indexes"] == (["all", "serials"] if value > 3 else ["all"])
        assert "indexes" not in api("get_twin_ledger_entry_value", twin)[1]
        body = {"entries": {"nothing": {"value": 1}}}
        assert api("update_twin_ledger_entry", twin, body=body)[1]["indexes"] == ["all"]
        assert api("delete_twin_ledger_entry", twin)[1]["indexes"] == ["all"]

    def test_others_are_not_told(self, api, twin, add, stranger):
        add(twin, serial={"value": 4, "visibility": "true"})
        seen = api("get_twin_ledger_entry", twin, "owner", user=stranger)[1]
        assert set(seen) == {"entries"}
        assert api("get_twin_ledger_entry", twin, user=stranger)[1]["indexes"] == []

    def test_each_account_indexes_its_own_ledgers(self, api, twin, add, stranger, rows, indexes):
        api("create_indexes_table", body={"indexes": {"serials": SERIALS}}, user=stranger)
        add(twin, user=stranger, serial={"value": 9})
        assert rows() == {}
        assert rows("ix_2_serials") == {twin: (9, None)}
        assert indexes(twin) == []
        assert indexes(twin, user=stranger) == ["serials"]

    def test_a_change_of_properties_is_a_change_of_the_ledger(self, api, twin, add, update, rows):
        add(twin, serial={"value": 4}, model={"value": "X1"})
        api("truncate_indexes_table", "serials")
        update(twin, model={"visibility": "true"})
        assert rows() == {twin: (4, "X1")}

    def test_refused_writes_change_nothing(self, api, twin, add, rows):
        add(twin, serial={"value": 4})
        body = {"entries": {"serial": {"value": 5}}, "conditions": {"serial": "false"}}
        api("update_twin_ledger_entry", twin, body=body)
        body = {"entries": {"serial": {"value": 5}, "gone": {"value": 1}}, "transaction": True}
        api("update_twin_ledger_entry_value", twin, body=body)
        assert rows() == {twin: (4, None)}

    def test_other_changes_of_the_twin_do_not_count(self, api, create, new_twin, add, rows):
        kinds = {"names": ["kind"], "types": ["text"]}
        templates = {"properties": {"kind": "{TWIN.kind}"}}
        create(pumps={"rule": "TWIN.kind == 'pump'", "properties": kinds, "templates": templates})
        twin = new_twin({"kind": "pump"})
        assert rows("ix_1_pumps") == {}
        add(twin, x={"value": 1})
        api("update_twin", twin, body={"description": {"kind": "valve"}})
        api("terminate_twin", twin)
        assert rows("ix_1_pumps") == {twin: ("pump",)}
        add(twin, y={"value": 1})
        assert rows("ix_1_pumps") == {}

    def test_includes_are_resolved(self, twin, new_twin, add, update_value, rows):
        source = new_twin()
        add(source, s={"value": 8})
        include = {"include": {"source": f"twin://{source}/s"}}
        add(twin, serial=include)
        update_value(source, s=9)
        assert rows() == {twin: (8, None)}
        add(twin, model={"value": "X1"})
        assert rows() == {twin: (9, "X1")}


class TestReferences:
    def test_copied_values_count(
        self, api, twin, new_twin, account, create, add, update_value, rows, indexes
    ):
        create(serials=SERIALS)
        source = new_twin()
        add(source, s={"value": 8})
        ref = {"source": f"twin://{source}/{account}/s"}
        body = {"entries": {"serial": {"ref": ref}}}
        assert api("add_twin_ledger_entry", twin, body=body)[1]["indexes"] == []
        assert (rows(), indexes(twin)) == ({twin: (8, None)}, ["serials"])
        update_value(source, s=2)
        assert (rows(), indexes(twin)) == ({}, [])

    def test_into_tables_of_another_account(self, api, twin, add, update_value, stranger, rows):
        api("create_indexes_table", body={"indexes": {"serials": SERIALS}}, user=stranger)
        add(twin, s={"value": 8, "visibility": "true"})
        owner = api("get_twin", twin)[1]["owner"]
        ref = {"source": f"twin://{twin}/{owner}/s"}
        add(twin, user=stranger, serial={"ref": ref}, model={"value": "X1"})
        update_value(twin, s=9)
        assert rows("ix_2_serials") == {twin: (9, "X1")}


class TestTables:
    def test_ledgers_enter_at_their_next_change(
        self, api, twin, add, update, create, rows, indexes
    ):
        add(twin, serial={"value": 4})
        create(serials=SERIALS)
        assert (rows(), indexes(twin)) == ({}, [])
        update(twin, serial={})
        assert rows() == {}
        update(twin, serial={"value": 4})
        assert (rows(), indexes(twin)) == ({twin: (4, None)}, ["serials"])
        api("update_indexes_table", "serials", body={"rule": "false"})
        assert (rows(), indexes(twin)) == ({twin: (4, None)}, ["serials"])
        update(twin, serial={"value": 5})
        assert (rows(), indexes(twin)) == ({}, [])

    def test_after_a_truncate_ledgers_still_name_the_table(
        self, api, twin, add, update_value, create, rows, indexes
    ):
        create(serials=SERIALS)
        add(twin, serial={"value": 4})
        assert api("truncate_indexes_table", "serials")[0] == 200
        assert (rows(), indexes(twin)) == ({}, ["serials"])
        update_value(twin, serial=5)
        assert (rows(), indexes(twin)) == ({twin: (5, None)}, ["serials"])

    def test_a_deleted_table_is_named_until_the_next_change(
        self, api, twin, add, update_value, create, indexes, log
    ):
        create(serials=SERIALS)
        add(twin, serial={"value": 4})
        assert api("delete_indexes_table", "serials")[0] == 200
        assert indexes(twin) == ["serials"]
        update_value(twin, serial=5)
        assert indexes(twin) == []
        assert log() == []

    def test_columns(self, api, twin, add, update_value, create, rows, emulator):
        create(serials=SERIALS)
        add(twin, serial={"value": 4}, model={"value": "X1"}, city={"value": "Oslo"})
        body = {
            "properties": {
                "names": ["serial", ["model", "code"], "city"],
                "types": ["int", "varchar", "varchar"],
            },
            "templates": {
                "properties": {"serial": "{serial}", "code": "{model}", "city": "{LEDGER.city}"}
            },
        }
        assert api("update_indexes_table", "serials", body=body)[0] == 200
        row = {"_twin": twin, "serial": 4, "code": "X1", "city": None}
        assert emulator.sql("SELECT * FROM ix_1_serials") == [row]
        update_value(twin, serial=5)
        assert rows() == {twin: (5, "X1", "Oslo")}

    def test_what_does_not_fit_is_null_and_logged(self, twin, add, create, rows, log):
        create(serials=SERIALS)
        add(twin, serial={"value": 4.5}, model={"value": "X1"})
        assert rows() == {twin: (None, "X1")}
        assert log() == [
            f"Value does not fit its column: indexes=[serials], column=[serial], twin=[{twin}].",
            f"Row potentially incomplete. Refer to reported errors: twin=[{twin}].",
        ]

    def test_a_rule_that_fails_says_no(self, twin, add, update_value, create, rows, log):
        create(serials=SERIALS)
        add(twin, serial={"value": 4})
        update_value(twin, serial="many")
        assert rows() == {}
        assert log() == []

    def test_what_rules_can_mention(self, api, user, account, twin, add, create, indexes):
        yes = [
            f"account == '{account}'",
            f"ledger == '{account}'",
            f"twin == '{twin}'",
            "twin_status == 'alive'",
            "now > 1",
            "LEDGER.x == 1",
        ]
        no = ["user != null", "role != null", "USER.a == 1", "DICT.a == 1", "entry_name != null"]
        tables = {f"t{number}": {**ALL, "rule": rule} for number, rule in enumerate(yes + no)}
        create(**tables)
        api("update_user", user, body={"description": {"a": 1}})
        body = {"entries": {"x": {"value": 1}}}
        api("add_twin_ledger_entry", twin, body=body, dictionary={"a": 1})
        assert indexes(twin) == [f"t{number}" for number in range(len(yes))]

    def test_what_templates_can_mention(self, api, user, twin, create, emulator):
        templates = {"user": "{user}", "a": "{USER.a}", "b": "{DICT.b}", "none": "{entry_name}"}
        names = {"names": [*templates], "types": ["text"] * 4}
        create(t={"rule": "true", "properties": names, "templates": {"properties": templates}})
        api("update_user", user, body={"description": {"a": 1}})
        body = {"entries": {"x": {"value": 1}}}
        api("add_twin_ledger_entry", twin, body=body, dictionary={"b": 2})
        row = {"_twin": twin, "user": user, "a": "1", "b": "2", "none": None}
        assert emulator.sql("SELECT * FROM ix_1_t") == [row]


class TestWithoutTheService:
    @pytest.fixture
    def policy(self):
        return Policy(services=())

    def test_answers_say_nothing(self, api, twin):
        body = {"entries": {"x": {"value": 1}}}
        assert "indexes" not in api("add_twin_ledger_entry", twin, body=body)[1]
        assert "indexes" not in api("update_twin_ledger_entry", twin, body=body)[1]
        assert "indexes" not in api("get_twin_ledger_entry", twin)[1]
