"""Timeseries: the rows that Entries write, as everybody can read them with SQL."""

from __future__ import annotations

import json
import math
import sqlite3
import time

import pytest

from ttorm.api.http import HttpRequest
from ttorm.emulator import Emulator
from ttorm.emulator.columntypes import TIMESTAMPTZ
from ttorm.emulator.policy import Policy

BASE = "http://emulator.localhost"
DAY = 86_400
AT = "2024-06-10 06:13:20.500+00:00"  # where the clock stands
NONE = {"names": [], "types": []}
WEATHER = {
    "dimensions": {"names": ["city"], "types": ["varchar"]},
    "measurements": {"names": ["temperature", "ozone"], "types": ["real", "int"]},
    "defaults": {"measurement": "{entry_name}", "dimensions": {"city": "{LEDGER.city}"}},
}
ON = {"timeseries": {"weather": {}}}


@pytest.fixture
def create(api):
    """Make tables: ``create(weather={...})``."""

    def create(**tables):
        status, answer = api("create_timeseries_table", body={"timeseries": tables})
        assert status == 200, answer
        assert not [made for made in answer["timeseries"].values() if "error" in made]

    return create


@pytest.fixture
def rows(emulator):
    """Read a table: ``rows() -> [(time, city, ...), ...]`` in the order of time."""

    def rows(table="ts_1_weather"):
        found = emulator.sql(f"SELECT * FROM {table} ORDER BY _timestamp")
        return [tuple(row.values()) for row in found]

    return rows


@pytest.fixture
def log(api):
    """Take the messages out of the log."""
    return lambda: api("get_log")[1]["messages"]


class TestRows:
    @pytest.fixture(autouse=True)
    def _weather(self, create):
        create(weather=WEATHER)

    def test_adding_and_changing_a_value(self, twin, add, update_value, rows, clock, log):
        add(twin, city={"value": "Oslo"}, temperature={"value": 12.5, **ON})
        clock.advance(60)
        update_value(twin, temperature=13)
        assert rows() == [
            (AT, "Oslo", 12.5, None),
            ("2024-06-10 06:14:20.500+00:00", "Oslo", 13.0, None),
        ]
        assert log() == []

    def test_an_equal_value_is_a_change(self, twin, add, update_value, rows, clock):
        add(twin, temperature={"value": 1, **ON})
        clock.advance(1)
        update_value(twin, temperature=1)
        assert len(rows()) == 2

    def test_measurements_of_one_moment_share_a_row(self, twin, new_twin, add, update_value, rows):
        city = {"value": "Oslo"}
        add(twin, city=city, temperature={"value": 1, **ON}, ozone={"value": 29, **ON})
        add(new_twin(), city={"value": "Bergen"}, ozone={"value": 30, **ON})
        add(new_twin(), temperature={"value": 5, **ON})
        add(new_twin(), ozone={"value": 6, **ON})
        assert sorted(rows(), key=str) == [
            (AT, "Bergen", None, 30),
            (AT, "Oslo", 1.0, 29),
            (AT, None, 5.0, 6),
        ]
        update_value(twin, temperature=2, ozone=28)
        assert ("2024-06-10 06:13:20.501+00:00", "Oslo", 2.0, 28) in rows()

    def test_templates_see_the_ledger_after_the_write(self, twin, add, update, rows):
        add(twin, temperature={"value": 1, **ON}, city={"value": "Oslo"})
        update(twin, temperature={"value": 2}, city={"value": "Bergen"})
        assert [row[1] for row in rows()] == ["Oslo", "Bergen"]

    def test_what_an_entry_says_goes_before_the_defaults(self, twin, add, rows):
        templates = {
            "measurement": "ozone",
            "dimensions": {"city": "{entry_name}-{TWIN.kind}"},
            "timestamp": "{entry_value.at}",
        }
        value = {"at": "2024-01-02T03:04:05+01:00"}
        add(twin, temperature={"value": value, "timeseries": {"weather": templates}})
        assert rows() == [("2024-01-02 02:04:05.000+00:00", '"temperature"-null', None, None)]

    def test_times_of_templates(self, twin, add, rows, log):
        for number, at in enumerate(["1718000000.25", "2024-06-10", "{now}", "{entry_created_ts}"]):
            timeseries = {"weather": {"timestamp": at, "measurement": "ozone"}}
            add(twin, **{f"e{number}": {"value": number, "timeseries": timeseries}})
        assert [(row[0], row[3]) for row in rows()] == [
            ("2024-06-10 00:00:00.000+00:00", 1),
            ("2024-06-10 06:13:20.250+00:00", 0),
            (AT, 3),
        ]
        assert log() == []

    def test_what_templates_can_mention(
        self, api, user, account, new_twin, create, emulator, clock
    ):
        now = clock.now()
        seen = {
            "account": account,
            "user": user,
            "role": api("who_am_i")[1]["role"],
            "twin_status": "alive",
            "ledger": account,
            "now": now,
            "identity": None,
            "entry_name": "x",
            "entry_value": [1, None],
            "entry_created_ts": now,
            "entry_updated_ts": now,
            "value_changed_ts": now,
            "TWIN": {"kind": "pump"},
            "USER": {"team": "ops"},
            "LEDGER": {"x": [1, None]},
        }
        types = {"names": ["all"], "types": ["text"]}
        create(seen={"dimensions": types, "measurements": {"names": ["m"], "types": ["jsonb"]}})
        api("update_user", user, body={"description": {"team": "ops"}})
        template = ", ".join(f'"{name}": {{{name}}}' for name in (*seen, "twin", "DICT"))
        series = {"seen": {"measurement": "m", "dimensions": {"all": f"{{{{{template}}}}}"}}}
        body = {"entries": {"x": {"value": [1, None], "timeseries": series}}}
        for dictionary in ({"src": "gw-7"}, None):
            twin = new_twin({"kind": "pump"})
            assert api("add_twin_ledger_entry", twin, body=body, dictionary=dictionary)[0] == 201
            (row,) = emulator.sql('SELECT "all" FROM ts_1_seen WHERE "all" LIKE ?', f"%{twin}%")
            assert json.loads(row["all"]) == {**seen, "twin": twin, "DICT": dictionary or {}}

    def test_several_tables(self, twin, add, create, rows):
        create(raw={"dimensions": NONE, "measurements": {"names": ["v"], "types": ["json"]}})
        tables = {"weather": {}, "raw": {"measurement": "v"}}
        add(twin, temperature={"value": 1, "timeseries": tables})
        assert rows() == [(AT, None, 1.0, None)]
        assert rows("ts_1_raw") == [(AT, "1")]

    def test_properties_write_no_row(self, twin, add, update, update_value, rows, clock):
        before = add(twin, temperature={"value": 1})["temperature"]
        clock.advance(1)
        after = update(twin, temperature=ON)["temperature"]
        assert after == {**before, **ON, "entry_updated_ts": clock.now()}
        update(twin, temperature={"visibility": "true"})
        assert rows() == []
        update(twin, temperature={"value": 2, "timeseries": None})
        assert rows() == []
        update(twin, temperature={"value": 3, **ON})
        assert [row[2] for row in rows()] == [3.0]
        assert "timeseries" not in update(twin, temperature={"timeseries": {}})["temperature"]

    def test_it_is_shown_to_the_account_only(self, twin, add, entries, stranger):
        add(twin, temperature={"value": 1, "visibility": "true", **ON})
        assert entries(twin)["temperature"]["timeseries"] == {"weather": {}}
        assert "timeseries" not in entries(twin, "owner", user=stranger)["temperature"]

    def test_deleted_entries_leave_their_rows(self, api, twin, add, rows):
        add(twin, temperature={"value": 1, **ON})
        api("delete_twin_ledger_entry", twin)
        assert rows() == [(AT, None, 1.0, None)]

    def test_a_write_that_fails_leaves_no_row(self, api, twin, add, rows):
        add(twin, temperature={"value": 1, **ON})
        body = {
            "entries": {"temperature": {"value": 2}, "big": {"value": "x"}},
            "transaction": True,
        }
        api("update_twin_ledger_entry", twin, body=body)
        body = {"entries": {"temperature": {"value": 2}}, "conditions": {"temperature": "false"}}
        api("update_twin_ledger_entry", twin, body=body)
        body = {"entries": {f"big{n}": {"value": "x" * 30_000, **ON} for n in range(2)}}
        assert api("add_twin_ledger_entry", twin, body=body)[0] == 201
        body = {"entries": {"more": {"value": "x" * 10_000, **ON}}}
        assert api("add_twin_ledger_entry", twin, body=body)[1]["subcode"] == 400141
        assert len(rows()) == 1

    def test_each_account_has_its_tables(self, api, twin, add, stranger, rows, log):
        body = {"timeseries": {"weather": WEATHER}}
        assert api("create_timeseries_table", body=body, user=stranger)[0] == 200
        add(twin, temperature={"value": 1, **ON})
        add(twin, user=stranger, temperature={"value": 2, **ON})
        assert [row[2] for row in rows()] == [1.0]
        assert [row[2] for row in rows("ts_2_weather")] == [2.0]
        assert log() == []


class TestReferences:
    @pytest.fixture(autouse=True)
    def _weather(self, create):
        create(weather=WEATHER)

    def test_a_copied_value_writes_a_row(
        self, api, twin, new_twin, account, add, update_value, rows, clock, log
    ):
        source = new_twin()
        add(source, t={"value": 1})
        ref = {"source": f"twin://{source}/{account}/t"}
        templates = {"dimensions": {"city": "{user}{USER}{DICT}{account}"}}
        timeseries = {"weather": templates}
        add(twin, temperature={"ref": ref, "timeseries": timeseries})
        clock.advance(1)
        update_value(source, t=2)
        clock.advance(1)
        update_value(source, t=2)
        api("delete_twin_ledger_entry", source)
        nobody = f'nullnull{{}}"{account}"'
        assert [(city, value) for _, city, value, _ in rows()] == [
            (nobody, 1.0),
            (nobody, 2.0),
            (nobody, None),
        ]
        assert log() == []

    def test_without_a_source_there_is_no_row(self, twin, new_twin, account, add, rows, log):
        ref = {"source": f"twin://{new_twin()}/{account}/t"}
        add(twin, temperature={"ref": ref, **ON})
        assert rows() == []
        assert log() == []

    def test_into_tables_of_another_account(self, api, twin, add, update_value, stranger, rows):
        body = {"timeseries": {"weather": WEATHER}}
        api("create_timeseries_table", body=body, user=stranger)
        add(twin, t={"value": 1, "visibility": "true"})
        owner = api("get_twin", twin)[1]["owner"]
        ref = {"source": f"twin://{twin}/{owner}/t"}
        city = {"value": "Oslo"}
        add(twin, user=stranger, city=city, temperature={"ref": ref, **ON})
        update_value(twin, t=2)
        assert [row[1:3] for row in rows("ts_2_weather")] == [("Oslo", 1.0), ("Oslo", 2.0)]
        assert rows() == []

    def test_trouble_goes_to_the_log_of_the_account_that_refers(
        self, api, twin, add, update_value, stranger, log
    ):
        add(twin, t={"value": 1, "visibility": "true"})
        owner = api("get_twin", twin)[1]["owner"]
        ref = {"source": f"twin://{twin}/{owner}/t"}
        add(twin, user=stranger, x={"ref": ref, "timeseries": {"gone": {}}})
        api("get_log", user=stranger)
        update_value(twin, t=2)
        (message,) = api("get_log", user=stranger)[1]["messages"]
        assert "Unknown Timeseries table" in message
        assert log() == []


class TestTrouble:
    @pytest.fixture(autouse=True)
    def _weather(self, create):
        create(weather=WEATHER)

    @pytest.fixture
    def written(self, twin, add, rows, log):
        """Write an Entry: ``written(value, timeseries...) -> (rows, messages)``."""

        def written(value, name="temperature", **templates):
            made = add(twin, **{name: {"value": value, "timeseries": {"weather": templates}}})
            assert made[name]["value"] == value
            return rows(), log()

        return written

    @pytest.fixture
    def incomplete(self, twin):
        """What the log says after the cause."""
        return f"Row potentially incomplete. Refer to reported errors: twin=[{twin}]."

    def test_an_unknown_table(self, twin, add, update, update_value, log):
        add(twin, x={"value": 1, "timeseries": {"gone": {}, "weather": {"measurement": "ozone"}}})
        message = (
            "Invalid Ledger configuration. Unknown Timeseries table: timeseries=[gone], "
            f"entry=[x], twin=[{twin}]."
        )
        assert log() == [message]
        update_value(twin, x=2)
        assert log() == [message]
        update(twin, x={"visibility": "true"})
        assert log() == [message]

    def test_a_deleted_table(self, api, twin, add, update_value, entries, log):
        add(twin, temperature={"value": 1, **ON})
        api("delete_timeseries_table", "weather")
        update_value(twin, temperature=2)
        assert "Unknown Timeseries table: timeseries=[weather]" in log()[0]
        assert entries(twin)["temperature"]["timeseries"] == {"weather": {}}

    def test_an_unknown_measurement(self, twin, written):
        found, messages = written(1, name="pressure")
        assert found == []
        about = f"timeseries=[weather], measurement=[pressure], twin=[{twin}]"
        assert messages == [f"Unknown measurement column: {about}."]

    def test_no_measurement(self, api, twin, written):
        api("update_timeseries_table", "weather", body={"defaults": None})
        found, messages = written(1)
        assert found == []
        assert messages == [
            f"No measurement column: timeseries=[weather], entry=[temperature], twin=[{twin}]."
        ]

    def test_a_value_that_does_not_fit(self, twin, written, incomplete):
        found, messages = written("hot", dimensions={"city": "Oslo"})
        assert found == [(AT, "Oslo", None, None)]
        about = f"timeseries=[weather], column=[temperature], twin=[{twin}]"
        assert messages == [f"Value does not fit its column: {about}.", incomplete]

    def test_an_unknown_dimension(self, written, incomplete):
        found, messages = written(1, dimensions={"town": "Oslo"})
        assert found == [(AT, None, 1.0, None)]
        assert "Unknown dimension: timeseries=[weather], dimension=[town]" in messages[0]
        assert messages[1:] == [incomplete]

    @pytest.mark.parametrize("at", ["soon", "{LEDGER.unknown}", "1e300", "[1]"])
    def test_a_time_that_is_none(self, written, incomplete, at):
        found, messages = written(1, timestamp=at)
        assert found == [(AT, None, 1.0, None)]
        assert "column=[_timestamp]" in messages[0]
        assert messages[1:] == [incomplete]

    def test_too_much_text(self, written, incomplete):
        found, messages = written(
            "x" * 40_000, name="ozone", dimensions={"city": "{entry_value}" * 2}
        )
        assert found == [(AT, None, None, None)]
        assert "Template failed" in messages[0] + messages[1]
        assert messages[-1] == incomplete
        assert max(map(len, messages)) < 400
        assert written("x" * 15_000, name="y", measurement="{entry_value}" * 5)[0] == found

    def test_one_request_cannot_fill_the_store(self, api, twin, create, emulator, log):
        """A body of 64 kB asks for 400 copies of a Ledger of 60 kB for each of its 300 Entries."""
        names = [f"d{number}" for number in range(400)]
        dimensions = dict.fromkeys(names, "{LEDGER}")
        create(
            wide={
                "dimensions": {"names": names, "types": ["text"] * 400},
                "measurements": {"names": ["m"], "types": ["int"]},
                "defaults": {"measurement": "m", "dimensions": dimensions},
            }
        )
        entries = {f"e{n}": {"value": "x" * 100, "timeseries": {"wide": {}}} for n in range(300)}
        start = time.thread_time()
        assert api("add_twin_ledger_entry", twin, body={"entries": entries})[0] == 201
        assert time.thread_time() - start < 2
        messages = log()
        assert messages[-1] == f"Too much for one request. Not all was done: twin=[{twin}]."
        assert sum("Too much" in message for message in messages) == 1
        length = " + ".join(f"COALESCE(LENGTH({name}), 0)" for name in names)
        (row,) = emulator.sql(f"SELECT COUNT(*) AS n, SUM({length}) AS size FROM ts_1_wide")
        assert 0 < row["n"] < 300
        assert row["size"] <= 1 << 20

    def test_null_is_no_trouble(self, written):
        assert written(None, dimensions={"city": "{LEDGER.gone}"}) == (
            [(AT, None, None, None)],
            [],
        )

    @pytest.mark.parametrize(
        "timeseries",
        [
            [],
            "weather",
            {"Weather": {}},
            {"weather": None},
            {"weather": {"measurement": 1}},
            {"weather": {"measurement": "{}"}},
            {"weather": {"dimensions": {"city": "{0}"}}},
            {"weather": {"dimensions": []}},
            {"weather": {"timestamp": "{now!r}"}},
            {"weather": {"more": "x"}},
        ],
    )
    def test_bad_properties_are_refused(self, api, twin, timeseries):
        body = {"entries": {"x": {"value": 1, "timeseries": timeseries}}}
        assert api("add_twin_ledger_entry", twin, body=body)[1]["subcode"] == 400589
        assert api("update_twin_ledger_entry", twin, body=body)[1]["subcode"] == 400589


CASES = [
    ("bigint", 2**63 - 1, 2**63 - 1),
    ("bigint", 2**63, None),
    ("bigint", 12.0, 12),
    ("bigint", 12.5, None),
    ("bigint", "-12", -12),
    ("bigint", True, None),
    ("int", 2**31, None),
    ("integer", -(2**31), -(2**31)),
    ("smallint", 40_000, None),
    ("real", 0.5, 0.5),
    ("real", 1e39, None),
    ("double precision", "1e3", 1000.0),
    ("double precision", 10**4_000, None),
    ("double precision", "nan", None),
    ("numeric", 17, 17),
    ("numeric", "2.50", 2.5),
    ("numeric", 10**4_000, None),
    ("numeric", "many", None),
    ("bool", True, 1),
    ("boolean", "false", 0),
    ("boolean", 1, None),
    ("text", "ä", "ä"),
    ("text", 1.5, "1.5"),
    ("varchar", {"a": [True]}, '{"a":[true]}'),
    ("character varying", "a\0b", None),
    ("json", "ä", '"ä"'),
    ("jsonb", {"a": None}, '{"a":null}'),
    ("date", "2024-02-29", "2024-02-29"),
    ("date", "2023-02-29", None),
    ("date", 0, "1970-01-01"),
    ("time", "23:59", "23:59:00.000"),
    ("time", 5, None),
    ("timestamp", "2024-06-10T08:00:00.25+02:00", "2024-06-10 06:00:00.250"),
    ("timestamptz", 1_718_000_000.125, "2024-06-10 06:13:20.125+00:00"),
    ("timestamptz", "yesterday", None),
    ("interval", "1 day 02:30", "1 day 02:30"),
    ("interval", "P1DT2H", "P1DT2H"),
    ("interval", "", None),
    ("interval", 5, None),
    ("uuid", "3E17ED55-1274-4229-92C1-8B7048FC23E7", "3e17ed55-1274-4229-92c1-8b7048fc23e7"),
    ("uuid", "3e17", None),
    ("geometry", "POINT(1 2)", "POINT(1 2)"),
    ("geography", {"type": "Point", "coordinates": [1, 2]}, '{"type":"Point","coordinates":[1,2]}'),
    ("geography", "somewhere", None),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value", "stored"), CASES)
def test_values_and_types(twin, create, add, rows, log, kind, value, stored):
    table = {"dimensions": NONE, "measurements": {"names": ["m"], "types": [kind]}}
    create(weather=table)
    add(twin, x={"value": value, "timeseries": {"weather": {"measurement": "m"}}})
    ((_, found),) = rows()
    assert found == stored
    assert type(found) is type(stored)
    assert bool(log()) == (stored is None)


class TestRetention:
    def test_old_rows_disappear(self, api, create, twin, add, update_value, rows, clock):
        create(weather={**WEATHER, "retention": "1D"})
        add(twin, temperature={"value": 1, **ON})
        clock.advance(DAY / 2)
        update_value(twin, temperature=2)
        clock.advance(DAY / 2)
        assert [row[2] for row in rows()] == [1.0, 2.0]
        clock.advance(0.001)
        assert [row[2] for row in rows()] == [2.0]
        api("update_timeseries_table", "weather", body={"retention": "INF"})
        clock.advance(1_000 * DAY)
        assert [row[2] for row in rows()] == [2.0]

    def test_a_write_removes_them_too(self, emulator, create, twin, add, update_value, clock):
        create(weather={**WEATHER, "retention": "1W"})
        add(twin, temperature={"value": 1, **ON})
        clock.advance(8 * DAY)
        update_value(twin, temperature=2)
        with emulator.store.transaction(write=False) as tx:
            assert [row["temperature"] for row in tx.rows("SELECT * FROM ts_1_weather")] == [2.0]

    def test_a_row_that_is_too_old_at_once(self, create, twin, add, rows):
        create(weather={**WEATHER, "retention": "1Y"})
        weather = {"timestamp": "2020-01-01"}
        add(twin, temperature={"value": 1, "timeseries": {"weather": weather}})
        assert rows() == []


class TestColumns:
    @pytest.fixture(autouse=True)
    def _rows(self, create, twin, add):
        create(weather=WEATHER)
        add(twin, city={"value": "Oslo"}, temperature={"value": 1, **ON}, ozone={"value": 2, **ON})

    def change(self, api, **fields):
        assert api("update_timeseries_table", "weather", body=fields)[0] == 200

    def test_renamed_ones_keep_their_values(self, api, emulator, twin, add, log):
        measurements = {
            "names": [["temperature", "ozone"], ["ozone", "temperature"], "humidity"],
            "types": ["real", "int", "int"],
        }
        self.change(api, measurements=measurements)
        add(twin, humidity={"value": 40, **ON})
        assert emulator.sql("SELECT * FROM ts_1_weather") == [
            {"_timestamp": AT, "city": "Oslo", "ozone": 1.0, "temperature": 2, "humidity": 40}
        ]
        assert log() == []

    @pytest.mark.sqlite
    def test_many_at_once(self, api, emulator, twin, update_value):
        """SQLite takes long for each change of a column: 500 one by one would be seconds."""
        count = 200
        names = ["temperature", "ozone", *(f"m{n}" for n in range(count))]
        self.change(api, measurements={"names": names, "types": ["real", "int"] + ["int"] * count})
        start = time.thread_time()
        renamed = [[name, f"new_{name}"] for name in names]
        types = ["real", "int"] + ["int"] * (count + 50)
        self.change(
            api,
            measurements={"names": [*renamed, *(f"x{n}" for n in range(50))], "types": types},
            defaults={"measurement": "new_{entry_name}", "dimensions": {"city": "{LEDGER.city}"}},
        )
        assert time.thread_time() - start < 1
        (row,) = emulator.sql("SELECT * FROM ts_1_weather")
        assert [row[name] for name in ("_timestamp", "city")] == [AT, "Oslo"]
        assert (row["new_temperature"], row["new_ozone"], row["x49"]) == (1.0, 2, None)
        assert len(row) == 2 + 2 + count + 50
        update_value(twin, ozone=5)
        found = emulator.sql("SELECT new_ozone FROM ts_1_weather ORDER BY _timestamp")
        assert [row["new_ozone"] for row in found] == [2, 5]
        (plan,) = emulator.sql("EXPLAIN QUERY PLAN DELETE FROM ts_1_weather WHERE _timestamp < 'a'")
        assert "USING" in plan["detail"]

    def test_new_dimensions_are_null_in_old_rows(self, api, emulator, twin, update_value):
        self.change(api, dimensions={"names": ["city", "floor"], "types": ["varchar", "int"]},
                    defaults={**WEATHER["defaults"], "dimensions": {"floor": "3"}})  # fmt: skip
        update_value(twin, temperature=5)
        found = emulator.sql("SELECT floor, city, temperature FROM ts_1_weather")
        assert [tuple(row.values()) for row in found] == [(None, "Oslo", 1.0), (3, None, 5.0)]

    def test_truncate_and_delete(self, api, emulator, rows, twin, update_value):
        assert api("truncate_timeseries_table", "weather")[0] == 200
        assert rows() == []
        update_value(twin, temperature=5)
        assert len(rows()) == 1
        api("delete_timeseries_table", "weather")
        with pytest.raises(Exception, match=r"no such table|does not exist"):
            rows()
        api("create_timeseries_table", body={"timeseries": {"weather": WEATHER}})
        assert rows() == []

    def test_stats_grow(self, api, emulator):
        with emulator.store.transaction(write=True) as tx:
            for number in range(5_000):
                tx.run("INSERT INTO ts_1_weather (_timestamp) VALUES (?)", TIMESTAMPTZ.fit(number))
        stats = api("get_timeseries_table", "weather")[1]["stats"]
        assert stats["total_size"] == stats["table_size"] + stats["index_size"]
        assert stats["table_size"] == math.ceil(5_001 * 56 / 8_192) * 8_192


def test_another_process_may_change_the_columns(store_url, clock):
    with Emulator(store_url, clock=clock) as one, Emulator(store_url, clock=clock) as two:
        user = one.first_user()

        def call(emulator, method, path, body):
            request = HttpRequest(method, BASE + path, {}, json.dumps(body).encode())
            answer = emulator.handle(request, user)
            assert answer.status < 300, answer
            clock.advance(1)
            return json.loads(answer.body)

        call(one, "POST", "/account/services/timeseries", {"timeseries": {"weather": WEATHER}})
        twin = call(one, "POST", "/twins", {})["creation_certificate"]["uuid"]
        ledger = f"/twins/{twin}/ledgers/personal"
        call(two, "POST", ledger, {"entries": {"temperature": {"value": 1, **ON}}})
        names = [["temperature", "ozone"], ["ozone", "temperature"]]
        measurements = {"names": names, "types": ["real", "int"]}
        call(one, "PATCH", "/account/services/timeseries/weather", {"measurements": measurements})
        call(two, "PATCH", f"{ledger}/value", {"entries": {"temperature": {"value": 2}}})
        query = "SELECT ozone, temperature FROM ts_1_weather ORDER BY _timestamp"
        for emulator in (one, two):
            assert [tuple(row.values()) for row in emulator.sql(query)] == [(1.0, None), (None, 2)]
        assert one.sql("SELECT * FROM ts_1_weather") == two.sql("SELECT * FROM ts_1_weather")


class TestReading:
    def test_parameters(self, emulator, create, twin, add):
        create(weather=WEATHER)
        add(twin, temperature={"value": 1, **ON})
        query = "SELECT temperature AS t FROM ts_1_weather WHERE temperature < ?"
        assert emulator.sql(query, 2) == [{"t": 1.0}]
        assert emulator.sql(query, 1) == []

    @pytest.mark.parametrize("url", ["memory:", "file"])
    def test_nothing_can_be_changed(self, url, tmp_path):
        url = f"sqlite:///{tmp_path}/store.db" if url == "file" else url
        with Emulator(url) as emulator:
            user = emulator.first_user()
            for query in ("DELETE FROM users", "CREATE TABLE x (y TEXT)", "DROP TABLE users"):
                with pytest.raises(sqlite3.OperationalError, match="readonly"):
                    emulator.sql(query)
            assert emulator.sql("BEGIN") == []
            assert emulator.sql("SELECT COUNT(*) AS n FROM users") == [{"n": 1}]
            assert emulator.handle(HttpRequest("POST", f"{BASE}/twins"), user).status == 201

    def test_the_file_itself(self, tmp_path, clock):
        with Emulator(f"sqlite:///{tmp_path}/store.db", clock=clock) as emulator:
            user = emulator.first_user()

            def post(path, body):
                request = HttpRequest("POST", BASE + path, {}, json.dumps(body).encode())
                return json.loads(emulator.handle(request, user).body)

            post("/account/services/timeseries", {"timeseries": {"weather": WEATHER}})
            twin = post("/twins", {})["creation_certificate"]["uuid"]
            body = {"entries": {"temperature": {"value": 1, **ON}}}
            post(f"/twins/{twin}/ledgers/personal", body)
            file = sqlite3.connect(tmp_path / "store.db")
            assert file.execute("SELECT * FROM ts_1_weather").fetchall() == [(AT, None, 1.0, None)]
            file.close()


class TestWithoutTheService:
    @pytest.fixture
    def policy(self):
        return Policy(services=("indexes",))

    def test_entries_are_written_and_the_log_says_why_nothing_else_is(
        self, twin, add, update, update_value, entries, log
    ):
        add(twin, x={"value": 1, **ON}, y={"value": 1, **ON}, z={"value": 1})
        message = (
            "Invalid Ledger configuration. Attempt to use a disabled Timeseries service: "
            f"twin=[{twin}]."
        )
        assert log() == [message]
        assert entries(twin)["x"]["timeseries"] == {"weather": {}}
        update_value(twin, z=2)
        assert log() == []
        update(twin, x={"visibility": "true"})
        assert log() == [message]


class TestRefused:
    @pytest.fixture
    def policy(self):
        return Policy(series_of_entries="refused")

    @pytest.mark.parametrize(
        ("timeseries", "subcode"),
        [({"gone": {}}, 404653), ({"weather": {"dimensions": {"town": "x"}}}, 400589)],
    )
    def test_what_does_not_exist(self, api, twin, create, add, entries, timeseries, subcode):
        create(weather=WEATHER)
        add(twin, x={"value": 1, **ON})
        body = {"entries": {"x": {"value": 2, "timeseries": timeseries}, "y": {"value": 1}}}
        for name in ("add_twin_ledger_entry", "update_twin_ledger_entry"):
            assert api(name, twin, body=body)[1]["subcode"] == subcode
        assert {name: entry["value"] for name, entry in entries(twin).items()} == {"x": 1}

    class TestWithoutTheService:
        @pytest.fixture
        def policy(self):
            return Policy(series_of_entries="refused", services=())

        def test_refused(self, api, twin, update, add):
            body = {"entries": {"x": {"value": 2, **ON}}}
            assert api("add_twin_ledger_entry", twin, body=body)[1]["subcode"] == 400979
            add(twin, x={"value": 1, "timeseries": None})
            update(twin, x={"timeseries": None})
