"""Flows and their two drivers: the same flow gives the same on a thread and on an event loop."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from concurrent.futures import Future
from contextvars import ContextVar

import pytest

from ttorm import StateError
from ttorm.api.http import HttpRequest, HttpResponse
from ttorm.connection import blocking, tasks
from ttorm.flows import finish, gather, send, sleep, wait

REQUEST = HttpRequest("GET", "http://example.org/")
PATIENCE = 20  # seconds after which a test that hangs fails


def on_a_thread(flow, bound=blocking.BOUND):
    return blocking.run(flow, bound)


def on_a_loop(flow, bound=blocking.BOUND):
    return asyncio.run(asyncio.wait_for(tasks.run(flow, bound), PATIENCE))


@pytest.fixture(params=[on_a_thread, on_a_loop])
def run(request):
    """Drive a flow: ``run(flow, bound=16) -> result``."""
    return request.param


class Echo:
    """A transport that answers with the request's URL."""

    def __init__(self):
        self.sent = []

    def answer(self, request):
        self.sent.append(request.url)
        return HttpResponse(200, {}, request.url.encode())

    def send(self, request):
        return self.answer(request)

    async def asend(self, request):
        await asyncio.sleep(0)
        return self.answer(request)


class Failing(Echo):
    """A transport whose answers are errors."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def answer(self, request):
        raise self.error


class Crowd(Echo):
    """A transport that answers when as many requests are under way as it wants together."""

    def __init__(self, together):
        super().__init__()
        self.under_way = self.most = 0
        self._lock = threading.Lock()
        self._together = together
        self._threads = threading.Barrier(together, timeout=PATIENCE)
        self._tasks = None

    def _enter(self):
        with self._lock:
            self.under_way += 1
            self.most = max(self.most, self.under_way)

    def _leave(self):
        with self._lock:
            self.under_way -= 1

    def send(self, request):
        self._enter()
        self._threads.wait()
        self._leave()
        return self.answer(request)

    async def asend(self, request):
        self._tasks = self._tasks or asyncio.Barrier(self._together)
        self._enter()
        await self._tasks.wait()
        self._leave()
        return self.answer(request)


def fetch(transport, name="x"):
    response = yield from send(transport, REQUEST._replace(url=name))
    return response.body.decode()


def value(result):
    return result
    yield  # a flow that asks for nothing


def failing(error):
    raise error
    yield


# One flow


def test_a_flow_returns_its_result(run):
    def flow():
        one = yield from fetch(Echo(), "a")
        two = yield from fetch(Echo(), "b")
        return one + two

    assert run(flow()) == "ab"
    assert run(value(5)) == 5


def test_errors_of_effects_are_raised_where_the_flow_waits(run):
    def flow():
        try:
            yield from fetch(Failing(ConnectionError("gone")))
        except ConnectionError as error:
            return (yield from fetch(Echo(), f"after {error}"))

    assert run(flow()) == "after gone"


def test_errors_of_flows_reach_the_caller(run):
    with pytest.raises(ConnectionError, match="gone"):
        run(fetch(Failing(ConnectionError("gone"))))
    with pytest.raises(KeyError):
        run(failing(KeyError("x")))


def test_a_flow_is_closed_at_its_end(run):
    closed = []

    def flow():
        try:
            yield from fetch(Failing(ValueError()))
        finally:
            closed.append(True)

    with pytest.raises(ValueError):
        run(flow())
    assert closed == [True]


def test_sleep_lets_time_pass(run):
    start = time.monotonic()
    run(sleep(0.02))
    assert time.monotonic() - start >= 0.02


def test_sleeping_alone_uses_no_thread(monkeypatch):
    pauses = []
    monkeypatch.setattr(blocking, "sleep", pauses.append)
    on_a_thread(sleep(3600))
    assert pauses == [3600]


# Gather


def test_gather_gives_results_in_order(run):
    flows = [fetch(Echo(), str(number)) for number in range(40)]
    assert run(gather(flows)) == [str(number) for number in range(40)]


def test_gather_of_nothing(run):
    def flow():
        inner = yield from gather([gather([]), value(1)])
        return inner

    assert run(gather([])) == []
    assert run(flow()) == [[], 1]


def test_exceptions_are_results_and_stop_nobody(run):
    seen = []

    def patient():
        yield from sleep(0.01)
        seen.append("end")
        return "done"

    error, other = KeyError("x"), ConnectionError("gone")
    results = run(gather([failing(error), patient(), fetch(Failing(other)), value(1)]))
    assert results == [error, "done", other, 1]
    assert seen == ["end"]


def test_a_child_may_mend_its_own_error(run):
    def mended():
        try:
            yield from fetch(Failing(ConnectionError("gone")))
        except ConnectionError:
            return (yield from fetch(Echo(), "again"))

    assert run(gather([mended(), mended()])) == ["again", "again"]


def test_sends_of_a_gather_are_under_way_together(run):
    crowd = Crowd(8)
    run(gather(fetch(crowd) for _ in range(8)), 8)
    assert crowd.most == 8


@pytest.mark.parametrize("bound", [1, 2, 5])
def test_the_bound_counts_sends(run, bound):
    crowd = Crowd(bound)
    assert len(run(gather(fetch(crowd) for _ in range(4 * bound)), bound)) == 4 * bound
    assert crowd.most == bound


@pytest.mark.parametrize("bound", [1, 3])
def test_nested_gathers_share_one_bound_and_do_not_starve(run, bound):
    """Flows that wait for their children take no place: else bound 1 would hang here."""
    crowd = Crowd(bound)

    def branch(depth):
        if not depth:
            return (yield from fetch(crowd, "leaf"))
        return (yield from gather(branch(depth - 1) for _ in range(3)))

    assert run(branch(3), bound) == [[["leaf"] * 3] * 3] * 3
    assert crowd.most == bound


def test_sleeping_flows_take_no_place(run):
    def napper():
        yield from sleep(0.05)
        return (yield from fetch(echo, "late"))

    echo = Echo()
    assert run(gather([napper(), napper(), fetch(echo, "early")]), 1) == ["late", "late", "early"]
    assert echo.sent == ["early", "late", "late"]


def test_sleeps_of_a_gather_pass_side_by_side(run):
    order = []

    def napper(seconds):
        yield from sleep(seconds)
        order.append(seconds)

    run(gather([napper(0.06), napper(0.02), napper(0.04)]))
    assert order == [0.02, 0.04, 0.06]


def test_all_flows_are_stepped_on_the_callers_thread(run):
    steps = set()

    def flow():
        for _ in range(3):
            steps.add(threading.get_ident())
            yield from fetch(Echo())
        steps.add(threading.get_ident())

    run(gather(flow() for _ in range(10)))
    assert steps == {threading.get_ident()}


CALLER: ContextVar[str] = ContextVar("caller", default="nobody")


def test_sends_see_the_callers_context(run):
    class Asking(Echo):
        def answer(self, request):
            return HttpResponse(200, {}, CALLER.get().encode())

    def named(name):
        CALLER.set(name)
        return (yield from fetch(Asking()))

    token = CALLER.set("caller")
    try:
        assert run(gather(fetch(Asking()) for _ in range(3))) == ["caller"] * 3
        assert run(gather([named("one")])) == ["one"]
    finally:
        CALLER.reset(token)


def test_gathers_of_many_threads_do_not_meddle():
    results = {}

    def work(name):
        flows = [fetch(Echo(), f"{name}-{number}") for number in range(20)]
        results[name] = on_a_thread(gather(flows), 4)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert results == {name: [f"{name}-{number}" for number in range(20)] for name in range(8)}


# Ends from outside


class Endless(Echo):
    """A transport that answers when it is let go."""

    def __init__(self):
        super().__init__()
        self.begun = threading.Semaphore(0)
        self.let_go = threading.Event()
        self.ended = threading.Semaphore(0)
        self.cancelled = 0

    def send(self, request):
        self.begun.release()
        self.let_go.wait(PATIENCE)
        self.ended.release()
        return self.answer(request)

    async def asend(self, request):
        self.begun.release()
        try:
            await asyncio.sleep(PATIENCE)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


def watched(transport, log):
    try:
        yield from fetch(transport)
    except BaseException as error:
        log.append(type(error))
        raise


def test_cancelling_from_outside_cancels_all_and_closes_flows():
    log, endless = [], Endless()

    async def main():
        nested = gather([watched(endless, log), watched(endless, log)])
        task = asyncio.ensure_future(tasks.run(gather([nested, watched(endless, log)])))
        for _ in range(3):
            await asyncio.to_thread(endless.begun.acquire, timeout=PATIENCE)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return len(asyncio.all_tasks())

    assert asyncio.run(main()) == 1
    assert endless.cancelled == 3
    assert log == [asyncio.CancelledError] * 3


def test_cancelling_a_sleeping_and_a_waiting_flow():
    future, log = Future(), []

    def waiting(effect):
        try:
            yield from effect
        except BaseException as error:
            log.append(type(error))
            raise

    async def main():
        flow = gather([waiting(wait(future)), waiting(sleep(PATIENCE))])
        task = asyncio.ensure_future(tasks.run(flow))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert log == [asyncio.CancelledError] * 2
    assert not future.done()  # somebody else works on it
    future.set_result(None)


def test_a_time_out_around_a_flow():
    async def main():
        async with asyncio.timeout(0.01):
            await tasks.run(gather([sleep(PATIENCE), sleep(PATIENCE)]))

    with pytest.raises(TimeoutError):
        asyncio.run(main())


def test_an_error_that_ends_the_program_ends_the_gather(run):
    log, echo = [], Echo()

    def bystander():
        try:
            yield from sleep(PATIENCE)
        except BaseException as error:
            log.append(type(error))
            raise

    flows = [bystander(), failing(KeyboardInterrupt()), fetch(echo)]
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(gather(flows))
    assert time.monotonic() - start < PATIENCE / 2
    assert len(log) == 1


def test_control_c_while_sends_are_under_way(request):
    """It is seen at once, not when the last request has timed out; flows are closed."""
    # Where the tests run in a shell's background, Ctrl-C is ignored from the start.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    log, endless = [], Endless()

    def interrupt():
        for _ in range(3):
            endless.begun.acquire(timeout=PATIENCE)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        on_a_thread(gather(watched(endless, log) for _ in range(3)))
    assert not endless.ended.acquire(blocking=False)
    assert log == [GeneratorExit] * 3
    endless.let_go.set()
    interrupter.join(PATIENCE)
    for _ in range(3):
        assert endless.ended.acquire(timeout=PATIENCE)


# Wait


@pytest.mark.parametrize("outcome", ["result", "error", "cancelled"])
@pytest.mark.parametrize("inside_a_gather", [False, True])
def test_waiting_for_somebody_elses_future_whatever_its_outcome(run, outcome, inside_a_gather):
    future = Future()

    def somebody():
        time.sleep(0.02)
        if outcome == "result":
            future.set_result("theirs")
        elif outcome == "error":
            future.set_exception(KeyError("theirs"))
        else:
            future.cancel()

    other = threading.Thread(target=somebody)
    other.start()
    done = run(gather([wait(future), value(1)])) if inside_a_gather else run(wait(future))
    other.join(PATIENCE)
    assert done == ([True, 1] if inside_a_gather else True)
    assert future.done()


def test_waiting_for_what_is_done(run):
    future = Future()
    future.set_result(None)
    assert run(wait(future)) is True
    assert run(gather([wait(future)])) == [True]


def test_a_blocking_flow_does_not_wait_for_the_loop_it_runs_under():
    """The loop could never finish what is waited for."""
    future = Future()

    async def main():
        alone = blocking.run(wait(future))
        gathered = blocking.run(gather([wait(future)]))
        future.set_result(None)
        return alone, gathered, blocking.run(wait(future))

    assert asyncio.run(main()) == (False, [False], True)


def test_a_future_that_outlives_the_loop_of_its_waiter(caplog):
    future = Future()

    async def main():
        task = asyncio.ensure_future(tasks.run(wait(future)))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(main())
    future.set_result("late")  # wakes nobody, and complains to nobody
    assert caplog.messages == []
    assert future.result() == "late"


def test_loops_of_several_threads_wait_for_one_future():
    future, results = Future(), []
    begun = threading.Barrier(4, timeout=PATIENCE)

    def work():
        begun.wait()
        results.append(on_a_loop(wait(future)))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    begun.wait()
    time.sleep(0.01)
    future.set_result(None)
    for thread in threads:
        thread.join(PATIENCE)
    assert results == [True] * 3


# Coroutines of the user's


async def receiver(number):
    await asyncio.sleep(0)
    if number is None:
        raise KeyError("receiver")
    return number


def test_coroutines_run_on_the_loop():
    assert on_a_loop(finish(receiver(5))) == 5
    with pytest.raises(KeyError, match="receiver"):
        on_a_loop(finish(receiver(None)))


def test_coroutines_cannot_run_on_a_thread():
    """The error names the coroutine; it is closed, so that Python does not warn about it."""
    with pytest.raises(StateError, match=r"receiver\(\) is a coroutine.*asave"):
        on_a_thread(finish(receiver(5)))
    [error, other] = on_a_thread(gather([finish(receiver(5)), value(1)]))
    assert isinstance(error, StateError)
    assert other == 1


def test_a_flow_may_go_on_after_a_refused_coroutine():
    def flow():
        try:
            yield from finish(receiver(5))
        except StateError:
            return (yield from fetch(Echo(), "fine"))

    assert on_a_thread(flow()) == "fine"


# Running loops


def test_running_loop_tells_whether_one_runs_here():
    assert blocking.running_loop() is None

    async def main():
        elsewhere = []
        thread = threading.Thread(target=lambda: elsewhere.append(blocking.running_loop()))
        thread.start()
        thread.join(PATIENCE)
        return blocking.running_loop() is asyncio.get_running_loop(), elsewhere

    assert asyncio.run(main()) == (True, [None])
