"""Random requests by users of three accounts get what a model of the platform says.

Beside the model, one thing is watched in every answer and every table: a value of an Entry or an
Identity that was never shown to other accounts never reaches them.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from platform_model import Model
from platform_state import RULES, RefusedError, User

from ttorm.api.http import HttpRequest
from ttorm.api.request import api_request, dictionary_header
from ttorm.emulator import Emulator, Policy
from ttorm.emulator.bootstrap import make_account
from ttorm.emulator.clock import Clock

BASE = "http://emulator.localhost"
OPEN = {"twin_rule": "true", "entry_rule": "true", "identity_rule": "true"}
CLOSED = dict.fromkeys(OPEN)
PRIVATE = "a new value that nobody else has"
MOST_TWINS = 6
KINDS = ["pump", "valve", "pump", "valve"]
FIRST_ENTRIES = {
    "alpha": {"value": PRIVATE, "history": "INF"},
    "beta": {"value": PRIVATE, "visibility": "USER.team == 'ops'", "history": "1D"},
    "level": {"value": 5, "visibility": "true"},
}

NOWHERE = 40
number = st.integers(0, NOWHERE)
texts = st.sampled_from([*RULES])
shown_to = st.one_of(st.none(), texts)
names = st.sampled_from(["alpha", "beta", "level"])
all_names = st.sampled_from(["alpha", "beta", "level", "ref", "ref2", "inc", "inc2"])
some_names = st.one_of(st.none(), st.lists(all_names, min_size=1, max_size=3, unique=True))
identities = st.sampled_from(["RFID#1", "RFID#2", PRIVATE])
values = st.sampled_from([PRIVATE, PRIVATE, None, 1, 5, "text"])
histories = st.sampled_from([None, "1D", "INF"])
ledgers = st.sampled_from(["personal", "personal", "owner", "creator", "0", "1", "2"])
own_ledgers = st.sampled_from(["personal"] * 8 + ["owner", "0", "1"])
contexts = st.sampled_from(["personal", "system", "0", "1"])
descriptions = st.sampled_from([None, {}, {"kind": "pump"}, {"kind": "valve"}])
dictionaries = st.sampled_from([None, None, {"kind": "pump"}, {"pin": "77"}])
colors = st.sampled_from(["red-flag", "green-flag"])
properties = st.fixed_dictionaries({}, optional={"visibility": shown_to, "history": histories})
changes = st.fixed_dictionaries(
    {}, optional={"value": values, "visibility": shown_to, "history": histories}
)
guards = st.one_of(
    st.just({}),
    st.just({}),
    st.fixed_dictionaries(
        {"conditions": st.dictionaries(names, texts, max_size=2), "transaction": st.booleans()}
    ),
)
sources = st.tuples(number, number, st.sampled_from(["ref", "ref2", "alpha", "inc"]))


class Requests(RuleBasedStateMachine):
    """Users who send requests to an emulator and to the model.

    Attributes:
        steps: How many requests all machines of a run have sent, without those that look around.
    """

    steps = 0

    @initialize()
    def begin(self):
        self.clock = Clock()
        self.clock.freeze(1_718_000_000)
        policy = Policy(background=False)
        self.emulator = Emulator("memory:", clock=self.clock, policy=policy, seed=1)
        self.model = Model()
        self.private: dict[str, str] = {}
        self.made = 0
        admins = [make_account(self.emulator) for _ in range(3)]
        self.accounts = [admin.account for admin in admins]
        self.admins = [
            self.user(admin.account, admin.user, self.answer_to(admin.user, "who_am_i")["role"])
            for admin in admins
        ]
        self.users = [
            self.new_user(0, None, CLOSED),
            self.new_user(0, {"team": "ops"}, {**CLOSED, "entry_rule": "entry_name != 'beta'"}),
            self.new_user(0, None, {**OPEN, "twin_rule": "TWIN.kind == DICT.kind"}),
            self.new_user(1, {"team": "ops"}, OPEN),
            self.new_user(1, None, CLOSED),
            self.new_user(1, {"team": "ops"}, {**OPEN, "identity_rule": "identity != 'RFID#1'"}),
            self.new_user(2, None, OPEN),
        ]
        self.users.append(self.with_token(self.users[3], {"kind": "pump"}))
        for admin in self.admins:
            self.make_tables(admin.uuid)
        for admin, kind in zip([*self.admins, self.admins[0]], KINDS, strict=True):
            self.compare(admin, "create_twin", body={"description": {"kind": kind}})
            *_, twin = self.model.twins
            body = {"entries": self.with_values(admin, FIRST_ENTRIES)}
            self.compare(admin, "add_twin_ledger_entry", twin, "personal", body=body)
        self.publish()

    def user(self, account, uuid, role, description=None, rules=CLOSED, **token):
        return User(account, uuid, role, description, dict(rules), **token)

    def new_user(self, account, description, rules):
        admin = self.admins[account].uuid
        role = self.answer_to(admin, "create_user_role", body={"rules": rules})["uuid"]
        body = {"role": role, "description": description}
        uuid = self.answer_to(admin, "create_user", body=body)["uuid"]
        return self.user(self.accounts[account], uuid, role, description, rules)

    def with_token(self, user, signed):
        token = self.answer_to(user.uuid, "create_user_token", body={"secret_dict": signed})
        return User(**{**vars(user), "token": token["token"], "signed": signed})

    def make_tables(self, admin):
        template = "{LEDGER.alpha} {LEDGER.ref} {LEDGER.inc} {LEDGER.beta}"
        index = {
            "rule": "LEDGER.level > 3",
            "properties": {"names": ["all"], "types": ["text"]},
            "templates": {"properties": {"all": template}},
        }
        self.answer_to(admin, "create_indexes_table", body={"indexes": {"levels": index}})
        series = {
            "dimensions": {"names": ["all"], "types": ["text"]},
            "measurements": {"names": ["value"], "types": ["text"]},
            "defaults": {"measurement": "value", "dimensions": {"all": template}},
        }
        self.answer_to(admin, "create_timeseries_table", body={"timeseries": {"series": series}})

    def teardown(self):
        if hasattr(self, "emulator"):
            self.look_into_the_tables()
            self.look_everywhere()
            self.emulator.close()

    def look_everywhere(self):
        """Let everybody read everything there is."""
        for user in self.users:
            self.compare(user, "scan_twins", match="true", details=True)
            for text in {key[2] for key in self.model.identities}:
                known = {"context": "system", "details": False}
                self.compare(user, "resolve_twin_identity", text, **known)
            for twin in self.model.twins:
                shown = {"show_foreign": True, "show_expired": True, "show_private": True}
                self.compare(user, "get_twin_identities", twin, **shown)
                for account in self.accounts:
                    if not self.model.ledger(twin, account):
                        continue
                    for part in ("", "_value", "_history"):
                        name = f"get_twin_ledger_entry{part}"
                        self.compare(user, name, twin, account, entries=None)

    # Requests

    def send(self, user, token, name, *args, body=None, dictionary=None, **query):
        headers = {} if dictionary is None else {"x-trustedtwin": dictionary_header(dictionary)}
        if token is not None:
            headers["authorization"] = token
        request = api_request(name, args, query, body).bind(BASE, headers)
        answer = self.emulator.handle(
            HttpRequest(request.method, request.url, request.headers, request.body or b""),
            None if token is not None else user,
        )
        return answer.status, json.loads(answer.body)

    def answer_to(self, user, name, *args, **options):
        status, answer = self.send(user, None, name, *args, **options)
        assert status < 300, answer
        return answer

    def request(self, user, name, *args, body=None, dictionary=None, **query):
        """Send a request as a step."""
        type(self).steps += 1
        self.compare(user, name, *args, body=body, dictionary=dictionary, **query)

    def compare(self, user, name, *args, body=None, dictionary=None, **query):
        """Send a request, and hold the answer to the model's."""
        self.clock.advance(1)
        self.model.now = self.clock.now()
        signed = {**(dictionary or {}), **user.signed}
        self.model.dictionary = None if dictionary is None and not user.signed else signed
        known = {k: v for k, v in query.items() if v is not None}
        status, answer = self.send(
            user.uuid, user.token, name, *args, body=body, dictionary=dictionary, **known
        )
        self.check_isolation(user.account, json.dumps(answer), said=args)
        if name == "create_twin":
            args = (answer["creation_certificate"]["uuid"],)
        given = query if body is None else {**query, "body": body}
        try:
            expected = getattr(self.model, name)(user, *args, **given)
        except RefusedError as refusal:
            found, expected = answer.get("subcode"), refusal.subcode
        else:
            found = answer if status < 300 else status
        assert found == expected, (name, args, body, query, answer)

    def check_isolation(self, account, text, said=()):
        """What was never shown to other accounts, nor guessed by them, is in no answer to them."""
        for value, owner in self.private.items():
            if value in said:
                continue
            assert owner == account or value not in text, f"{value} of {owner} reached {account}"

    def publish(self):
        """Forget about what somebody else may see from now on."""
        for ledger in self.model.ledgers.values():
            for entry in ledger.values():
                if entry.visibility is not None:
                    for value in [self.model.resolved(entry)[0], *entry.records.values()]:
                        self.private.pop(value, None)
        for (_, _, text), identity in self.model.identities.items():
            if identity["visibility"] is not None:
                self.private.pop(text, None)

    # What the numbers drawn stand for

    def someone(self, index):
        return self.users[index % len(self.users)]

    def twin(self, index):
        """One of the Twins, and now and then one that does not exist."""
        twins = [*self.model.twins]
        if index == NOWHERE:
            return "00000000-0000-4000-8000-000000000000"
        return twins[index % len(twins)]

    def ledger(self, ledger):
        return self.accounts[int(ledger)] if ledger.isdigit() else ledger

    def value(self, user, value, prefix="private-"):
        if value != PRIVATE:
            return value
        self.made += 1
        text = f"{prefix}{self.made}-"
        self.private[text] = user.account
        return text

    def source(self, source):
        """Half of the references lead to what is there, half to what may come."""
        twin, account, name = source
        there = [
            f"twin://{twin}/{account}/{name}"
            for (twin, account), ledger in self.model.ledgers.items()
            for name in ledger
        ]
        if there and account % 2:
            return there[twin % len(there)]
        return f"twin://{self.twin(twin)}/{self.accounts[account % 3]}/{name}"

    def with_values(self, user, drafts):
        return {
            name: {**draft, "value": self.value(user, draft["value"])}
            if "value" in draft
            else draft
            for name, draft in drafts.items()
        }

    # Steps

    @rule(by=number, description=descriptions)
    def create_twin(self, by, description):
        if len(self.model.twins) < MOST_TWINS:
            self.request(self.someone(by), "create_twin", body={"description": description})

    @rule(by=number, at=number, terminated=st.booleans(), dictionary=dictionaries)
    def get_twin(self, by, at, terminated, dictionary):
        self.request(
            self.someone(by),
            "get_twin",
            self.twin(at),
            show_terminated=terminated,
            dictionary=dictionary,
        )

    @rule(by=number, at=number, description=descriptions, dictionary=dictionaries)
    def update_twin(self, by, at, description, dictionary):
        body = {"description": description}
        self.request(
            self.someone(by), "update_twin", self.twin(at), body=body, dictionary=dictionary
        )

    @rule(by=number, at=number, sure=st.integers(0, 4))
    def terminate_twin(self, by, at, sure):
        if sure == 0:
            self.request(self.someone(by), "terminate_twin", self.twin(at))

    @rule(by=number, match=texts, details=st.booleans(), dictionary=dictionaries)
    def scan(self, by, match, details, dictionary):
        user = self.someone(by)
        self.request(user, "scan_twins", match=match, details=details, dictionary=dictionary)

    @rule(
        by=number,
        at=number,
        ledger=own_ledgers,
        drafts=st.dictionaries(names, st.tuples(values, properties), min_size=1, max_size=3),
        series=st.booleans(),
        guard=guards,
        dictionary=dictionaries,
    )
    def add_values(self, by, at, ledger, drafts, series, guard, dictionary):
        user = self.someone(by)
        entries = {
            name: {**more, "value": self.value(user, value)}
            for name, (value, more) in drafts.items()
        }
        if series:
            entries = {name: {**one, "timeseries": {"series": {}}} for name, one in entries.items()}
        self.write(user, "add_twin_ledger_entry", at, ledger, entries, guard, dictionary)

    @rule(
        by=number,
        at=number,
        name=st.sampled_from(["ref", "ref2", "alpha"]),
        source=sources,
        more=properties,
    )
    def add_reference(self, by, at, name, source, more):
        entries = {name: {**more, "ref": {"source": self.source(source)}}}
        self.write(self.someone(by), "add_twin_ledger_entry", at, "personal", entries)

    @rule(by=number, at=number, to=number)
    def add_circle(self, by, at, to):
        user, there, back = self.someone(by), self.twin(at), self.twin(to)
        for twin, other in ((at, back), (to, there)):
            entries = {"ref": {"ref": {"source": f"twin://{other}/{user.account}/ref"}}}
            self.write(user, "add_twin_ledger_entry", twin, "personal", entries)

    @rule(
        by=number,
        at=number,
        name=st.sampled_from(["inc", "inc2", "alpha"]),
        to=number,
        source=all_names,
        visibility=shown_to,
    )
    def add_include(self, by, at, name, to, source, visibility):
        include = {"include": {"source": f"twin://{self.twin(to)}/{source}"}}
        entries = {name: {**include, "visibility": visibility}}
        self.write(self.someone(by), "add_twin_ledger_entry", at, "personal", entries)

    @rule(
        by=number,
        at=number,
        ledger=own_ledgers,
        drafts=st.dictionaries(all_names, changes, min_size=1, max_size=3),
        guard=guards,
        dictionary=dictionaries,
    )
    def update_entries(self, by, at, ledger, drafts, guard, dictionary):
        user = self.someone(by)
        entries = self.with_values(user, drafts)
        self.write(user, "update_twin_ledger_entry", at, ledger, entries, guard, dictionary)

    @rule(
        by=number,
        at=number,
        drafts=st.dictionaries(names, values, min_size=1, max_size=3),
        guard=guards,
    )
    def update_values(self, by, at, drafts, guard):
        user = self.someone(by)
        entries = self.with_values(user, {name: {"value": v} for name, v in drafts.items()})
        self.write(user, "update_twin_ledger_entry_value", at, "personal", entries, guard)

    def write(self, user, operation, at, ledger, entries, guard=None, dictionary=None):
        body = {"entries": entries, **(guard or {})}
        twin, ledger = self.twin(at), self.ledger(ledger)
        self.request(user, operation, twin, ledger, body=body, dictionary=dictionary)
        self.publish()

    @rule(by=number, at=number, entries=some_names, guard=guards, sure=st.integers(0, 2))
    def delete_entries(self, by, at, entries, guard, sure):
        if entries is not None or sure == 0:
            self.request(
                self.someone(by),
                "delete_twin_ledger_entry",
                self.twin(at),
                "personal",
                entries=entries,
                body=guard,
            )

    @rule(
        by=number,
        at=number,
        ledger=ledgers,
        entries=some_names,
        show=st.fixed_dictionaries(
            {},
            optional={
                "show_references": st.booleans(),
                "show_public": st.booleans(),
                "show_private": st.booleans(),
            },
        ),
        dictionary=dictionaries,
    )
    def get_entries(self, by, at, ledger, entries, show, dictionary):
        self.request(
            self.someone(by),
            "get_twin_ledger_entry",
            self.twin(at),
            self.ledger(ledger),
            entries=entries,
            dictionary=dictionary,
            **show,
        )

    @rule(
        by=number,
        at=number,
        ledger=ledgers,
        entries=some_names,
        operation=st.sampled_from(["get_twin_ledger_entry_value", "get_twin_ledger_entry_history"]),
        dictionary=dictionaries,
    )
    def get_values(self, by, at, ledger, entries, operation, dictionary):
        self.request(
            self.someone(by),
            operation,
            self.twin(at),
            self.ledger(ledger),
            entries=entries,
            dictionary=dictionary,
        )

    @rule(by=number, at=number, identity=identities, seconds=number, visibility=shown_to)
    def create_identity(self, by, at, identity, seconds, visibility):
        user = self.someone(by)
        draft = {"visibility": visibility, "validity_ts": self.validity(seconds)}
        body = {"identities": {self.value(user, identity, "RFID#private-"): draft}}
        self.request(user, "create_twin_identity", self.twin(at), body=body)
        self.publish()

    def validity(self, seconds):
        return None if seconds < 20 else self.clock.now() + seconds - 22

    @rule(by=number, at=number, identity=identities, seconds=number, visibility=shown_to)
    def update_identity(self, by, at, identity, seconds, visibility):
        draft = {"visibility": visibility, "validity_ts": self.validity(seconds)}
        twin, identity = self.identity(at, identity)
        self.request(self.someone(by), "update_twin_identity", twin, identity, body=draft)
        self.publish()

    @rule(
        by=number,
        at=number,
        identity=identities,
        operation=st.sampled_from(["get_twin_identity", "delete_twin_identity"]),
    )
    def get_or_delete_identity(self, by, at, identity, operation):
        user = self.someone(by)
        twin, identity = self.identity(at, identity)
        self.request(user, operation, twin, identity)

    def identity(self, at, identity):
        """An Identity and its Twin; a private one that somebody has, if there is one."""
        private = [key for key in self.model.identities if "private" in key[2]]
        if identity != PRIVATE or not private:
            return self.twin(at), "RFID#1" if identity == PRIVATE else identity
        twin, _, text = private[at % len(private)]
        return twin, text

    @rule(
        by=number,
        at=number,
        foreign=st.booleans(),
        expired=st.booleans(),
        private=st.booleans(),
        dictionary=dictionaries,
    )
    def get_identities(self, by, at, foreign, expired, private, dictionary):
        self.request(
            self.someone(by),
            "get_twin_identities",
            self.twin(at),
            show_foreign=foreign,
            show_expired=expired,
            show_private=private,
            dictionary=dictionary,
        )

    @rule(
        by=number,
        identity=st.sampled_from(["RFID#1", "RFID#2"]),
        context=contexts,
        details=st.booleans(),
        dictionary=dictionaries,
    )
    def resolve(self, by, identity, context, details, dictionary):
        self.request(
            self.someone(by),
            "resolve_twin_identity",
            identity,
            context=self.ledger(context),
            details=details,
            dictionary=dictionary,
        )

    @rule(by=number, at=number, to=number, color=colors, seconds=number)
    def put_sticker(self, by, at, to, color, seconds):
        other = self.someone(to)
        recipients = [[other.uuid], [other.role, other.account], [other.account]][to % 3]
        sticker = {
            "note": "Look",
            "recipients": recipients,
            "validity_ts": self.clock.now() + 2 + seconds,
        }
        user, body = self.someone(by), {"stickers": {color: sticker}}
        self.request(user, "put_sticker", self.twin(at), body=body)

    @rule(by=number, at=number, color=colors, context=contexts, what=st.integers(0, 2))
    def stickers(self, by, at, color, context, what):
        user, context = self.someone(by), self.ledger(context)
        if what == 0:
            self.request(user, "get_stickers", self.twin(at))
        elif what == 1:
            self.request(user, "list_stickers", context=context)
        else:
            self.request(user, "remove_sticker", self.twin(at), color, context=context)

    @rule(hours=st.integers(1, 20))
    def time_passes(self, hours):
        self.clock.advance(hours * 3_600)
        self.look_into_the_tables()

    @rule(by=st.integers(0, 6), which=st.sampled_from([*OPEN]), text=shown_to)
    def a_role_changes(self, by, which, text):
        user = self.users[by]
        user.rules[which] = text
        admin = self.admins[self.accounts.index(user.account)].uuid
        self.answer_to(admin, "update_user_role", user.role, body={"rules": user.rules})

    @rule(by=st.integers(0, 6), description=st.sampled_from([None, {"team": "ops"}, {"team": "x"}]))
    def a_user_changes(self, by, description):
        for user in self.users:
            if user.uuid == self.users[by].uuid:
                user.description = description
        admin = self.admins[self.accounts.index(self.users[by].account)].uuid
        body = {"description": description}
        self.answer_to(admin, "update_user", self.users[by].uuid, body=body)

    def look_into_the_tables(self):
        for number_, account in enumerate(self.accounts, 1):
            for table in ("ts_{}_series", "ix_{}_levels"):
                rows = self.emulator.sql(f"SELECT * FROM {table.format(number_)}")
                self.check_isolation(account, json.dumps(rows))


def run(steps):
    """Let machines send this many requests; returns how many they were."""
    machine = type("Requests", (Requests,), {"steps": 0})
    thorough = settings(
        max_examples=50,
        stateful_step_count=80,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=[*HealthCheck],
    )
    while machine.steps < steps:
        run_state_machine_as_test(machine, settings=thorough)
    return machine.steps


@pytest.mark.timeout(600)
def test_requests_are_answered_as_the_model_says():
    assert run(5_000) >= 5_000


@pytest.mark.full
@pytest.mark.timeout(3_600)
def test_fifty_thousand_requests_are_answered_as_the_model_says():
    assert run(50_000) >= 50_000
