"""A program of another account: it has read an Entry, and is told when that changes.

``python other_account.py sync|async URL SECRET ACCOUNT TWIN`` subscribes, writes a line of JSON
once that is confirmed, and one for each change: what its signal receiver got, and how many kept
answers were dropped. For each line that it reads it tells what a look at the Entry gives.
"""

from __future__ import annotations

import asyncio
import json
import sys
from socketserver import ThreadingMixIn
from threading import Thread
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import ttorm
from ttorm import Field, TopicAccess, Twin, entry, signals
from ttorm.webhooks import Asgi, Receiver, Wsgi

TOPIC = "celsius"


class Boiler(Twin):
    celsius: Field[float] = entry(default=None)

    class Meta:
        kind = "boiler"


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *message):
        pass


def say(**what):
    sys.stdout.write(f"{json.dumps(what)}\n")
    sys.stdout.flush()


def watch(connection):
    """Say what is told of each change."""

    def on_change(sender, *, record, changes, message=None, **extra):
        dropped = connection.cache.statistics.dropped
        [change] = changes.values()
        told = {"sender": sender.__name__, "old": change.old, "new": change.new}
        say(**told, dropped=dropped, entry=next(iter(message.entries)), topic=message.topic)

    signals.entry_changed.connect(on_change, weak=False)


def sync(connection, twin, account):
    boiler = Boiler.get(twin)
    ledger = boiler.ledgers[account]
    before = ledger["celsius"].value
    receiver = Receiver()
    with make_server("127.0.0.1", 0, Wsgi(receiver), Server, Quiet) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        subscription = receiver.subscribe(TOPIC, f"http://127.0.0.1:{server.server_port}/")
        while not subscription.confirmed:
            receiver.keep(0.02)
        watch(connection)
        say(ready=True, value=before)
        for _ in sys.stdin:
            say(value=ledger["celsius"].value)
        receiver.cancel()
        server.shutdown()


async def asynchronous(connection, twin, account):
    import uvicorn

    boiler = await Boiler.aget(twin)
    ledger = boiler.ledgers[account]
    before = (await ledger.aload())["celsius"].value
    receiver = Receiver()
    config = uvicorn.Config(Asgi(receiver), port=0, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 # it has no event for that
        await asyncio.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    subscription = await receiver.asubscribe(TOPIC, f"http://127.0.0.1:{port}/")
    while not subscription.confirmed:
        await receiver.akeep(0.02)
    watch(connection)
    say(ready=True, value=before)
    while await asyncio.to_thread(sys.stdin.readline):
        say(value=(await ledger.aload())["celsius"].value)
    await receiver.acancel()
    server.should_exit = True
    await serving


def main(world, url, secret, account, twin):
    with ttorm.connect(url, secret=secret) as connection:
        TopicAccess.current().grant(account, TOPIC)
        if world == "sync":
            sync(connection, twin, account)
        else:
            asyncio.run(asynchronous(connection, twin, account))


if __name__ == "__main__":
    main(*sys.argv[1:])
