"""What answers and cancelled requests leave behind: nothing."""

from __future__ import annotations

import asyncio
import gc

import pytest
from werkzeug import Response

import ttorm
from ttorm.api.http import HttpRequest
from ttorm.connection.http import HttpTransport, httpx


def test_cookies_are_neither_kept_nor_sent(httpserver):
    seen = []

    def answer(request):
        seen.append(request.headers.get("cookie"))
        answered = Response("{}")
        answered.set_cookie(f"c{len(seen)}", "1")
        return answered

    httpserver.expect_request("/account").respond_with_handler(answer)
    with ttorm.connect(httpserver.url_for("/"), secret="s", default=False, cache=None) as one:
        for _ in range(3):
            one.call("get_account")
        assert len(one.transport._client.cookies) == 0
    assert seen == [None] * 3


@pytest.mark.skipif(ttorm.connection.http.LIBRARY != "httpx", reason="nothing goes on unseen there")
# What other tests have left behind is collected here as well.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_request_that_fails_after_its_task_was_cancelled_is_no_news():
    reported = []

    async def fail(request):
        await asyncio.sleep(0.02)
        raise httpx.ReadTimeout("late")

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, told: reported.append(told["message"]))
        transport = HttpTransport(transport=httpx.MockTransport(fail))
        asking = asyncio.ensure_future(transport.asend(HttpRequest("GET", "http://service.test")))
        await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        del asking
        await asyncio.sleep(0.05)
        gc.collect()
        await transport.aclose()

    asyncio.run(main())
    assert reported == []
