"""Timeseries tables: making, listing, changing, emptying and deleting them."""

from __future__ import annotations

import pytest

from ttorm.emulator.bootstrap import insert_database
from ttorm.emulator.columns import MAX_COLUMNS
from ttorm.emulator.handlers.tables import MAX_TABLES
from ttorm.emulator.policy import Policy

NOBODY = "00000000-0000-4000-8000-000000000000"
CITY = {"names": ["city"], "types": ["varchar"]}
GASES = {"names": ["temperature", "ozone"], "types": ["real", "real"]}
NONE = {"names": [], "types": []}
TABLE = {
    "dimensions": CITY,
    "measurements": GASES,
    "defaults": {"measurement": "{entry_name}", "dimensions": {"city": "{LEDGER.city}"}},
    "retention": "3M",
    "chunk": "1W",
}
BARE = {"dimensions": NONE, "measurements": NONE}
STATS = {"table_size": 8192, "index_size": 8192, "toast_size": 0, "total_size": 16384}


@pytest.fixture
def create(api):
    """Make tables: ``create(weather={...}) -> what was answered for each``."""

    def create(**tables):
        status, answer = api("create_timeseries_table", body={"timeseries": tables})
        assert status == 200, answer
        return answer["timeseries"]

    return create


@pytest.fixture
def change(api):
    """Change the table weather: ``change(retention="1Y") -> (status, answer)``."""

    def change(**fields):
        return api("update_timeseries_table", "weather", body=fields)

    return change


class TestCreate:
    def test_a_table(self, api, create, columns):
        database = api("get_databases")[1]["default"]
        whole = {"stats": STATS, **TABLE, "database": database}
        assert create(weather=TABLE) == {"weather": whole}
        assert api("get_timeseries_table", "weather") == (200, whole)
        assert columns("ts_1_weather") == {
            "_timestamp": "TIMESTAMPTZ",
            "city": "VARCHAR",
            "temperature": "REAL",
            "ozone": "REAL",
        }

    def test_what_is_left_out(self, api, create):
        made = create(log=BARE)["log"]
        assert made == {
            "stats": STATS,
            **BARE,
            "defaults": None,
            "retention": "INF",
            "chunk": "7D",
            "database": api("get_databases")[1]["default"],
        }
        assert create(other={**BARE, "defaults": None, "database": None})["other"] == made

    def test_several_of_which_one_exists(self, api, create):
        create(weather=TABLE)
        answer = create(weather=BARE, log=BARE)
        assert answer["weather"] == {"error": "Table already exists."}
        assert answer["log"]["measurements"] == NONE
        assert api("get_timeseries_tables") == (200, {"timeseries": ["log", "weather"]})
        assert api("get_timeseries_table", "weather")[1]["measurements"] == GASES

    def test_a_hundred_at_most(self, api, create):
        create(**{f"t{number}": BARE for number in range(MAX_TABLES - 1)})
        answer = create(t1=BARE, last=BARE, more=BARE)
        assert answer["t1"] == {"error": "Table already exists."}
        assert "error" not in answer["last"]
        assert answer["more"] == {"error": "There are 100 tables already."}
        assert len(api("get_timeseries_tables")[1]["timeseries"]) == 100

    def test_in_a_database(self, emulator, account, api, create, stranger):
        second = emulator.ids.uuid()
        with emulator.store.transaction(write=True) as tx:
            insert_database(tx, second, account, emulator.clock.now())
        foreign = api("get_databases", user=stranger)[1]["default"]
        answer = create(
            a={**BARE, "database": second.upper()},
            b={**BARE, "database": foreign},
            c={**BARE, "database": NOBODY},
        )
        assert answer["a"]["database"] == second
        assert answer["b"] == answer["c"] == {"error": "Database does not exist."}
        assert api("get_timeseries_tables")[1] == {"timeseries": ["a"]}

    def test_each_account_has_its_own(self, api, create, stranger, columns):
        create(weather=TABLE)
        assert api("get_timeseries_tables", user=stranger)[1] == {"timeseries": []}
        assert api("get_timeseries_table", "weather", user=stranger)[1]["subcode"] == 404653
        body = {"timeseries": {"weather": BARE}}
        assert api("create_timeseries_table", body=body, user=stranger)[0] == 200
        assert list(columns("ts_2_weather")) == ["_timestamp"]

    def test_every_type(self, create, columns):
        types = (
            "bigint bool boolean,character varying,date,double precision,geography,geometry,int,"
            "integer,interval,numeric,real,smallint,text,time,timestamp,timestamptz,varchar,uuid"
        ).replace(" bool ", ",bool,").split(",")  # fmt: skip
        both = {
            "dimensions": {"names": [f"d{n}" for n in range(len(types))], "types": types},
            "measurements": {
                "names": [f"m{n}" for n in range(len(types) + 2)],
                "types": [*types, "json", "jsonb"],
            },
        }
        assert create(wide=both)["wide"]["measurements"] == both["measurements"]
        assert len(columns("ts_1_wide")) == 1 + 2 * len(types) + 2

    @pytest.mark.sqlite
    def test_long_names_and_words_of_sql(self, emulator, create, columns):
        """PostgreSQL cuts names after 63 characters: two that differ behind that stay two."""
        long = "x" * 63
        names = [f"{long}a", f"{long}b", "select", "order", "_", "rowid"]
        table = {"dimensions": NONE, "measurements": {"names": names, "types": ["int"] * 6}}
        answer = create(**{f"{long}a": table, f"{long}b": table})
        assert [made["measurements"]["names"] for made in answer.values()] == [names, names]
        with emulator.store.transaction(write=False) as tx:
            found = tx.rows("SELECT name FROM sqlite_master WHERE name LIKE 'ts!_1!_%' ESCAPE '!'")
        assert len(found) == 4  # each with an index
        assert {len(row["name"]) for row in found} == {63}
        tables = [row["name"] for row in found if columns(row["name"])]
        for table in tables:
            _, first, second, *others = columns(table)
            assert (len(first), len(second)) == (63, 63)
            assert first != second
            assert others == names[2:]

    def test_many_columns(self, api, create):
        names = [f"m{number}" for number in range(MAX_COLUMNS + 1)]
        many = {"names": names, "types": ["int"] * len(names)}
        body = {"timeseries": {"a": {"dimensions": NONE, "measurements": many}}}
        assert api("create_timeseries_table", body=body)[1]["subcode"] == 400589
        many = {"names": names[1:], "types": ["int"] * MAX_COLUMNS}
        assert "error" not in create(a={"dimensions": NONE, "measurements": many})["a"]

    @pytest.mark.parametrize(
        "more",
        [
            {"dimensions": None},
            {"dimensions": {"names": ["a"]}},
            {"dimensions": {"names": ["a"], "types": []}},
            {"dimensions": {"names": "a", "types": ["int"]}},
            {"dimensions": {"names": ["a"], "types": ["int"], "more": 1}},
            {"dimensions": {"names": ["A"], "types": ["int"]}},
            {"dimensions": {"names": ["1a"], "types": ["int"]}},
            {"dimensions": {"names": ["a" * 65], "types": ["int"]}},
            {"dimensions": {"names": [1], "types": ["int"]}},
            {"dimensions": {"names": [["a", "b"]], "types": ["int"]}},
            {"dimensions": {"names": ['a"; DROP TABLE twins; --'], "types": ["int"]}},
            {"dimensions": {"names": ["_timestamp"], "types": ["int"]}},
            {"dimensions": {"names": ["ctid"], "types": ["int"]}},
            {"dimensions": {"names": ["a", "a"], "types": ["int", "int"]}},
            {"dimensions": {"names": ["ozone"], "types": ["int"]}},
            {"dimensions": {"names": ["a"], "types": ["json"]}},
            {"dimensions": {"names": ["a"], "types": ["INT"]}},
            {"measurements": {"names": ["a"], "types": ["string"]}},
            {"measurements": {"names": ["a"], "types": [None]}},
            {"measurements": {"names": ["a"], "types": [["int"]]}},
            {"defaults": {"dimensions": {"country": "x"}}},
            {"defaults": {"dimensions": {"city": 5}}},
            {"defaults": {"dimensions": ["city"]}},
            {"defaults": {"dimensions": {"city": "{LEDGER.city"}}},
            {"defaults": {"measurement": "{0}"}},
            {"defaults": {"measurement": None}},
            {"defaults": {"timestamp": "{now!r}"}},
            {"defaults": {"measurements": "{entry_name}"}},
            {"defaults": "x"},
            {"retention": "0D"},
            {"retention": "3M2"},
            {"retention": "INFINITE"},
            {"retention": None},
            {"chunk": "1000D"},
            {"chunk": 7},
            {"database": "default"},
            {"stats": {}},
        ],
    )
    def test_bad_tables(self, api, more):
        body = {"timeseries": {"good": BARE, "weather": {**TABLE, **more}}}
        assert api("create_timeseries_table", body=body)[1]["subcode"] == 400589
        assert api("get_timeseries_tables")[1] == {"timeseries": []}

    @pytest.mark.parametrize(
        "body",
        [
            None,
            {},
            {"timeseries": {}},
            {"timeseries": []},
            {"timeseries": {"a": None}},
            {"timeseries": {"a": {"dimensions": NONE}}},
            {"timeseries": {"A": BARE}},
            {"timeseries": {"index-name": BARE}},
            {"timeseries": {"": BARE}},
            {"timeseries": {"a" * 65: BARE}},
            {"timeseries": {"a": BARE}, "more": 1},
        ],
    )
    def test_bad_bodies(self, api, body):
        assert api("create_timeseries_table", body=body)[1]["subcode"] == 400589


class TestUpdate:
    @pytest.fixture(autouse=True)
    def _weather(self, create):
        create(weather=TABLE)

    def test_rename_and_add(self, api, change, columns):
        names = ["temperature", ["ozone", "ozone_ppb"], "humidity"]
        measurements = {"names": names, "types": ["real"] * 3}
        status, table = change(measurements=measurements, retention="1Y")
        assert status == 200
        assert table["measurements"] == {
            "names": ["temperature", "ozone_ppb", "humidity"],
            "types": ["real"] * 3,
        }
        assert {**table, **TABLE} == {**table, **TABLE, "database": table["database"]}
        assert (table["retention"], table["chunk"]) == ("1Y", "1W")
        assert table == api("get_timeseries_table", "weather")[1]
        assert list(columns("ts_1_weather")) == [
            *("_timestamp", "city", "temperature", "ozone_ppb", "humidity")
        ]

    def test_names_change_places(self, change, columns):
        names = [["temperature", "ozone"], ["ozone", "temperature"], "city2"]
        status, table = change(
            measurements={"names": names, "types": ["real", "real", "text"]},
            dimensions={"names": [["city", "town"], "country"], "types": ["varchar", "varchar"]},
        )
        assert status == 200
        assert table["dimensions"]["names"] == ["town", "country"]
        assert list(columns("ts_1_weather")) == [
            *("_timestamp", "town", "country", "ozone", "temperature", "city2")
        ]

    def test_a_name_that_became_free(self, change):
        names = [["temperature", "celsius"], "ozone", "temperature"]
        status, table = change(measurements={"names": names, "types": ["real", "real", "int"]})
        assert status == 200
        assert table["measurements"]["names"] == ["celsius", "ozone", "temperature"]

    def test_templates_keep_the_old_names(self, change):
        dimensions = {"names": [["city", "town"]], "types": ["varchar"]}
        assert change(dimensions=dimensions)[1]["defaults"] == TABLE["defaults"]
        defaults = {"dimensions": {"town": "x"}}
        assert change(defaults=defaults)[1]["defaults"] == defaults
        assert change(defaults={"dimensions": {"city": "x"}})[1]["subcode"] == 400589

    def test_defaults_are_replaced_or_removed(self, change):
        assert change(defaults={"timestamp": "{now}"})[1]["defaults"] == {"timestamp": "{now}"}
        assert change(defaults=None)[1]["defaults"] is None
        assert change(chunk="1Y")[1]["defaults"] is None

    def test_nothing_said_changes_nothing(self, api, change):
        before = api("get_timeseries_table", "weather")[1]
        assert change() == (200, before)
        assert change(dimensions=CITY, measurements=GASES) == (200, before)

    @pytest.mark.parametrize(
        "measurements",
        [
            {"names": ["temperature"], "types": ["real"]},
            {"names": ["ozone", "temperature"], "types": ["real", "real"]},
            {"names": ["temperature", "ozone"], "types": ["real", "int"]},
            {"names": ["new", "temperature", "ozone"], "types": ["real"] * 3},
            {"names": ["temperature", ["temperature", "x"]], "types": ["real", "real"]},
            {"names": ["temperature", "ozone", ["x", "y"]], "types": ["real"] * 3},
            {"names": [], "types": []},
        ],
    )
    def test_what_tables_do_not_allow(self, api, change, measurements):
        before = api("get_timeseries_table", "weather")
        assert change(measurements=measurements)[1]["subcode"] == 400897
        assert api("get_timeseries_table", "weather") == before

    def test_the_database_stays(self, api, change):
        database = api("get_databases")[1]["default"]
        assert change(database=database)[1]["subcode"] == 400897

    @pytest.mark.parametrize(
        "fields",
        [
            {"measurements": {"names": ["temperature", "ozone", "city"], "types": ["real"] * 3}},
            {"measurements": {"names": ["temperature", ["ozone"]], "types": ["real"] * 2}},
            {
                "measurements": {
                    "names": ["temperature", ["ozone", "a", "b"]],
                    "types": ["real"] * 2,
                }
            },
            {"measurements": {"names": ["temperature", ["ozone", "A"]], "types": ["real"] * 2}},
            {"measurements": {"names": ["temperature", ["ozone", 5]], "types": ["real"] * 2}},
            {"measurements": {"names": ["temperature", "ozone", "x"], "types": ["real"] * 2}},
            {
                "measurements": {
                    "names": ["temperature", "ozone", "x"],
                    "types": ["real"] * 2 + ["x"],
                }
            },
            {"measurements": None},
            {"dimensions": {"names": ["city", "a"], "types": ["varchar", "jsonb"]}},
            {"dimensions": {"names": [["city", "ozone"]], "types": ["varchar"]}},
            {"defaults": {"measurement": "{}"}},
            {"retention": None},
            {"chunk": "x"},
            {"stats": {}},
        ],
    )
    def test_bad_bodies(self, api, change, fields):
        before = api("get_timeseries_table", "weather")
        assert change(**fields)[1]["subcode"] == 400589
        assert api("get_timeseries_table", "weather") == before

    def test_a_body_is_needed(self, api):
        assert api("update_timeseries_table", "weather")[1]["subcode"] == 400589


class TestDelete:
    def test_it_is_gone(self, api, create, columns):
        made = create(weather=TABLE, log=BARE)["weather"]
        assert api("delete_timeseries_table", "weather") == (200, made)
        assert api("get_timeseries_tables")[1] == {"timeseries": ["log"]}
        assert api("get_timeseries_table", "weather")[1]["subcode"] == 404653
        assert columns("ts_1_weather") == {}
        assert create(weather=BARE)["weather"]["measurements"] == NONE

    def test_truncating_keeps_the_table(self, api, create):
        made = create(weather=TABLE)["weather"]
        assert api("truncate_timeseries_table", "weather") == (200, made)
        assert api("get_timeseries_tables")[1] == {"timeseries": ["weather"]}


OF_ONE = ("get", "update", "truncate", "delete")


@pytest.mark.parametrize("verb", OF_ONE)
@pytest.mark.parametrize("name", ["weather", "Weather!", "ts_1_weather"])
def test_unknown_tables(api, user, verb, name):
    body = {"body": {}} if verb == "update" else {}
    assert api(f"{verb}_timeseries_table", name, **body)[1]["subcode"] == 404653


class TestWithoutTheService:
    @pytest.fixture
    def policy(self):
        return Policy(services=("databases", "indexes"))

    def test_refused(self, api, user):
        body = {"timeseries": {"weather": TABLE}}
        assert api("create_timeseries_table", body=body)[1]["subcode"] == 400979
        assert api("create_timeseries_table", body={"timeseries": {}})[1]["subcode"] == 400589
        assert api("get_timeseries_tables")[1]["subcode"] == 400979
        for verb in OF_ONE:
            body = {"body": {}} if verb == "update" else {}
            assert api(f"{verb}_timeseries_table", "x", **body)[1]["subcode"] == 400979
