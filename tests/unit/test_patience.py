"""How long a connection goes on with what fails: quota, circuit and the attempts of one call."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest

from ttorm import CircuitBreaker, CircuitOpenError, RetryPolicy, RetryQuota
from ttorm.api.retry import Failure
from ttorm.connection import patience
from ttorm.connection.patience import Circuit, Patience, Strain, Tokens

EASY = RetryPolicy(base=0.0)


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 1_000.0

        def __call__(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(patience, "monotonic", clock)
    return clock


def test_repeats_cost_tokens_and_successes_give_them_back():
    tokens = Tokens(RetryQuota(capacity=30, ambiguous=14, rejected=5, success=1))
    assert tokens.take(Failure.AMBIGUOUS) == 14
    assert tokens.take(Failure.REJECTED) == 5
    assert tokens.take(Failure.AMBIGUOUS) is None
    assert (tokens.left, tokens.refused) == (11, 1)
    tokens.give_back(14)
    tokens.give_back(0)
    assert tokens.left == 26
    tokens.give_back(14)
    assert tokens.left == 30


def test_threads_spend_no_token_twice():
    tokens = Tokens(RetryQuota(capacity=1_000, ambiguous=1))
    taken = []

    def spend():
        taken.append(sum(tokens.take(Failure.AMBIGUOUS) is not None for _ in range(300)))

    threads = [threading.Thread(target=spend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken) == 1_000
    assert tokens.refused == 1_400


def test_a_call_has_so_many_attempts():
    call = Patience(Strain(EASY))
    assert [call.pause(Failure.AMBIGUOUS) for _ in range(3)] == [0.0, 0.0, None]
    assert call.attempt == 3


def test_a_call_ends_at_its_deadline(clock):
    call = Patience(Strain(RetryPolicy(attempts=100, base=0.0, deadline=30)))
    assert call.pause(Failure.NOT_SENT) == 0.0
    clock.now += 31
    assert call.pause(Failure.NOT_SENT) is None


def test_what_is_asked_for_counts_against_the_deadline():
    call = Patience(Strain(RetryPolicy(base=0.0, deadline=10)))
    assert call.pause(Failure.REJECTED, floor=11) is None
    assert call.pause(Failure.REJECTED, floor=9) == 9


def test_without_tokens_nothing_is_repeated():
    strain = Strain(RetryPolicy(base=0.0, quota=RetryQuota(capacity=20)))
    assert Patience(strain).pause(Failure.AMBIGUOUS) == 0.0
    assert Patience(strain).pause(Failure.AMBIGUOUS) is None
    assert strain.tokens.refused == 1


def test_a_policy_without_quota_has_no_bound():
    strain = Strain(RetryPolicy(base=0.0, quota=None))
    assert all(Patience(strain).pause(Failure.AMBIGUOUS) == 0.0 for _ in range(1_000))


def test_a_circuit_opens_after_failures_in_a_row_and_tries_again(clock):
    circuit = Circuit(CircuitBreaker(failures=2, pause=10))
    circuit.note(failed=True)
    circuit.note(failed=False)
    circuit.note(failed=True)
    circuit.check()
    circuit.note(failed=True)
    with pytest.raises(CircuitOpenError, match=r"2 calls in a row.*another 10\.0 seconds") as told:
        circuit.check()
    assert not told.value.sent
    clock.now += 10
    circuit.check()  # one may try
    with pytest.raises(CircuitOpenError):
        circuit.check()  # the others wait for its answer
    circuit.note(failed=False)
    circuit.check()


def test_a_try_that_fails_opens_the_circuit_again(clock):
    circuit = Circuit(CircuitBreaker(failures=1, pause=10))
    circuit.note(failed=True)
    clock.now += 10
    circuit.check()
    circuit.note(failed=True)
    clock.now += 9
    with pytest.raises(CircuitOpenError):
        circuit.check()


def test_of_many_threads_one_tries(clock):
    circuit = Circuit(CircuitBreaker(failures=1, pause=10))
    circuit.note(failed=True)
    clock.now += 10
    start, through = threading.Barrier(8), []

    def ask():
        start.wait()
        with suppress(CircuitOpenError):
            circuit.check()
            through.append(threading.get_ident())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(through) == 1


def test_a_try_that_never_ends_is_followed_by_another(clock):
    """As one whose task was cancelled."""
    circuit = Circuit(CircuitBreaker(failures=1, pause=10))
    circuit.note(failed=True)
    clock.now += 10
    circuit.check()
    clock.now += 10
    circuit.check()


def test_a_policy_of_ones_own_decides():
    class Steady(RetryPolicy):
        def delay(self, attempt, floor, random):
            return attempt - 2.0

        def may_repeat(self, operation, failure):
            return failure is Failure.NOT_SENT

    policy = Steady(attempts=4)._replace(deadline=60)
    call = Patience(Strain(policy))
    assert isinstance(policy, Steady)
    assert [call.pause(Failure.NOT_SENT) for _ in range(4)] == [0.0, 0.0, 1.0, None]
