"""Where messages may be sent, and how they are."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import contextmanager, nullcontext, suppress
from ipaddress import ip_address
from time import monotonic
from urllib.parse import urlsplit

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from ttorm.api.errors import ConfigurationError
from ttorm.emulator import Emulator, posting
from ttorm.emulator.callbacks import CallbackError, Callbacks, Outcome, read_url

FRAGMENTS = [
    *(
        "//",
        "/",
        "\\",
        "@",
        ":",
        "#",
        "?",
        "[",
        "]",
        ".",
        "-",
        "_",
        ";",
        "&",
        "=",
        "%",
        " ",
        "\r\n",
    ),
    *("127.0.0.1", "[::1]", "::1", "localhost", "evil.test", ":80", ":0", "0", "%2f", "%40", "a"),
]
OK = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"


class TestAddresses:
    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("http://localhost", (False, "localhost", 80, "/")),
            ("HTTPS://Hooks.Example.Test/TT", (True, "hooks.example.test", 443, "/TT")),
            ("http://127.0.0.1:8080/a/b?c=d&e=%20", (False, "127.0.0.1", 8080, "/a/b?c=d&e=%20")),
            ("http://host?x=1", (False, "host", 80, "/?x=1")),
            ("http://[0:0:0:0:0:0:0:1]:1/", (False, "::1", 1, "/")),
            ("http://my_host-1.x:65535/", (False, "my_host-1.x", 65535, "/")),
        ],
    )
    def test_what_is_one(self, url, expected):
        assert read_url(url) == expected

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "hooks.example.test",
            "//hooks.example.test/",
            "/in",
            "ftp://127.0.0.1/",
            "file:///etc/passwd",
            "gopher://127.0.0.1:6379/_FLUSHALL",
            "dict://127.0.0.1:11211/stats",
            "javascript:alert(1)",
            "http:/127.0.0.1/",
            "http:127.0.0.1",
            "http://",
            "http:///in",
            "http://:80/",
            "http://user@127.0.0.1/",
            "http://user:password@127.0.0.1/",
            "http://127.0.0.1@169.254.169.254/",
            "http://127.0.0.1:80@169.254.169.254/",
            "http://127.0.0.1#@169.254.169.254/",
            "http://127.0.0.1\\@169.254.169.254/",
            "http://169.254.169.254\\.localhost/",
            "http://127.0.0.1/#fragment",
            "http://127.0.0.1/a b",
            "http://127.0.0.1/\r\nX-Injected: 1",
            "http://127.0.0.1/\tx",
            " http://127.0.0.1/",
            "http://127.0.0.1/ ",
            "http://127.0.0.1/\n",
            "http://127.0.0.1/\x00",
            "http://127.0.0.1/%zz",
            "http://127.0.0.1/%",
            "http://127.0.0.1/ä",
            "http://127.0.0.1/\u017f",
            "http://127.0.0.1/\u212a",
            "http\u017f://127.0.0.1/",
            "http://loc%61lhost/",
            "http://%31%32%37.0.0.1/",
            "http://\uff11\uff12\uff17.0.0.1/",
            "http://127。0。0。1/",
            "http://ⓛocalhost/",
            "http://2130706433/",
            "http://017700000001/",
            "http://0x7f000001/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://127.1/",
            "http://127.0.1/",
            "http://0/",
            "http://127.0.0.256/",
            "http://127.0.0.01/",
            "http://1.2.3.4.5/",
            "http://example.0x10/",
            "http://127.0.0.1./",
            "http://localhost./",
            "http://.localhost/",
            "http://a..b/",
            "http://-a/",
            "http://a-/",
            "http://" + "a" * 64 + "/",
            "http://" + "a." * 130 + "a/",
            "http://[::1/",
            "http://::1/",
            "http://[127.0.0.1]/",
            "http://[fe80::1%25lo]/",
            "http://[fe80::1%lo]/",
            "http://[::g]/",
            "http://[]/",
            "http://127.0.0.1:0/",
            "http://127.0.0.1:65536/",
            "http://127.0.0.1:999999/",
            "http://127.0.0.1:/",
            "http://127.0.0.1:+80/",
            "http://127.0.0.1:8o/",
            "http://127.0.0.1/" + "x" * 500,
        ],
    )
    def test_what_is_none(self, url):
        with pytest.raises(CallbackError):
            read_url(url)
        assert Callbacks(["0.0.0.0/0", "::/0"]).post(url, b"{}") == Outcome(
            "not_allowed", hopeless=True
        )

    @given(
        st.sampled_from(["http://", "https://", "HTTP:", ""]),
        st.lists(st.sampled_from(FRAGMENTS) | st.characters(), min_size=1, max_size=8).map("".join),
    )
    def test_others_read_it_in_the_same_way(self, scheme, rest):
        url = scheme + rest
        try:
            callback = read_url(url)
        except CallbackError:
            return
        parts = urlsplit(url)
        assert parts.scheme == ("https" if callback.secure else "http")
        assert (parts.username, parts.password, parts.fragment) == (None, None, "")
        host = parts.hostname
        assert callback.host == (str(ip_address(host)) if ":" in host else host)
        assert callback.port == (parts.port or (443 if callback.secure else 80))

    def test_of_the_longest_length(self):
        longest = "http://127.0.0.1/".ljust(512, "x")
        assert read_url(longest).target == longest.removeprefix("http://127.0.0.1")
        with pytest.raises(CallbackError, match="513 characters"):
            read_url(longest + "x")


def allowed(callbacks, url):
    try:
        callbacks.addresses(read_url(url))
    except CallbackError:
        return False
    return True


class Names(dict):
    """Addresses by name, and what was asked for."""

    def __init__(self, **names):
        super().__init__(names)
        self.asked = []

    def __call__(self, host, _port):
        self.asked.append(host)
        return self.get(host.replace(".", "_"), [host])


class TestGuard:
    @pytest.mark.parametrize(
        "url",
        ["http://127.0.0.1/", "http://127.255.255.254/", "http://[::1]/", "http://localhost:1/"],
    )
    def test_this_machine_is_allowed(self, url):
        assert allowed(Callbacks(), url)

    @pytest.mark.parametrize(
        "host",
        [
            *("10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "8.8.8.8", "93.184.216.34"),
            *("[fd00::1]", "[2606:4700::1111]", "[2001:db8::1]"),
        ],
    )
    def test_other_machines_are_not_unless_they_are_listed(self, host):
        url = f"http://{host}:8080/"
        assert not allowed(Callbacks(), url)
        assert not allowed(Callbacks(["10.0.0.2", "[fd00::2]:8080", "11.0.0.0/8"]), url)
        assert allowed(Callbacks([host]), url)
        assert allowed(Callbacks([f"{host}:8080"]), url)
        assert not allowed(Callbacks([f"{host}:8081"]), url)
        assert allowed(Callbacks(["0.0.0.0/0", "::/0"]), url)

    @pytest.mark.parametrize(
        "host",
        [
            # This network, link-local and the addresses at which clouds tell credentials.
            *("0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.170.2", "169.254.0.1"),
            *("100.100.100.200", "168.63.129.16", "192.0.0.192"),
            *("[fd00:ec2::254]", "[fd20:ce::254]"),
            # Multicast, reserved, broadcast.
            *("224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
            *("[::]", "[fe80::1]", "[febf::1]", "[fec0::1]", "[ff02::1]", "[ff0e::1]"),
            # IPv4 addresses in the dress of IPv6, of this machine as well.
            *("[::ffff:127.0.0.1]", "[::ffff:169.254.169.254]", "[::ffff:7f00:1]"),
            *("[::ffff:10.0.0.1]", "[::127.0.0.1]", "[::a9fe:a9fe]", "[::ffff:0:a00:1]"),
            *("[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::1]", "[2002:a9fe:a9fe::1]", "[2002:7f00:1::]"),
            "[2001:0:1::1]",
        ],
    )
    def test_these_are_never(self, host):
        url = f"http://{host}/"
        assert not allowed(Callbacks(), url)
        assert not allowed(Callbacks(["0.0.0.0/0", "::/0", host, f"{host}:80"]), url)
        assert not allowed(Callbacks(["evil.test"], resolver=Names(evil_test=[host.strip("[]")])),
                           "http://evil.test/")  # fmt: skip

    def test_a_name_counts_for_its_addresses(self):
        names = Names(
            inner_test=["10.1.2.3"], mine_test=["127.0.1.1"], both_test=["10.1.0.1", "::1"]
        )
        guard = Callbacks(["10.1.0.0/16"], resolver=names)
        assert all(allowed(guard, f"http://{host}.test/") for host in ("inner", "mine", "both"))
        assert not allowed(Callbacks(resolver=names), "http://inner.test/")

    def test_one_bad_address_of_several_is_enough(self):
        names = Names(two_test=["127.0.0.1", "10.0.0.1"], meta_test=["10.1.0.1", "169.254.169.254"])
        guard = Callbacks(["10.1.0.0/16", "meta.test"], resolver=names)
        assert not allowed(guard, "http://two.test/")
        assert not allowed(guard, "http://meta.test/")

    def test_a_listed_name(self):
        names = Names(hooks_test=["8.8.8.8"], hooks_test_evil_test=["8.8.8.8"])
        guard = Callbacks(["Hooks.test:8443"], resolver=names)
        assert allowed(guard, "https://hooks.test:8443/")
        assert not allowed(guard, "https://hooks.test/")
        assert not allowed(guard, "https://hooks.test.evil.test:8443/")
        assert not allowed(guard, "https://8.8.8.8:8443/")

    @pytest.mark.parametrize(
        "target",
        ["", "http://host/", "host:", "host:0", "host:99999", "host:x", "a b", "10.0.0.1/8", "10.1",
         "10.0.0.0/33", "[::1", "::1]", "[::1]x", "*", "*.test", "user@host", "fd00::/129"],
    )  # fmt: skip
    def test_what_cannot_be_listed(self, target):
        with pytest.raises(ConfigurationError, match="names no target"):
            Callbacks([target])
        with pytest.raises(ConfigurationError):
            Emulator("memory:", callbacks=[target])

    def test_other_ways_to_list_an_address(self):
        assert allowed(Callbacks(["fd00::1"]), "http://[fd00::1]:5/")
        assert allowed(Callbacks(["fd00::/8"]), "http://[fd00::1]:5/")
        assert allowed(Callbacks(["[fd00:0::1]:5"]), "http://[fd00::1]:5/")


@contextmanager
def answering(answer, family=socket.AF_INET, context=None):
    """Serve one connection after the other: ``answer(connection, request)``."""
    host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
    listener = socket.create_server((host, 0), family=family)
    got = []

    def run():
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            with connection, suppress(OSError), encrypted(connection, context) as line:
                got.append(read_request(line))
                answer(line)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield listener.getsockname()[1], got
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def encrypted(connection, context):
    if context is None:
        return nullcontext(connection)
    return context.wrap_socket(connection, server_side=True)


def read_request(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        data += received(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(next(line for line in head.split(b"\r\n") if b"ength:" in line).split(b":")[1])
    while len(body) < length:
        body += received(connection)
    return head.decode(), body


def received(connection):
    data = connection.recv(65536)
    if not data:
        raise ConnectionError
    return data


def send(data):
    return lambda connection: connection.sendall(data)


class TestPost:
    def test_what_the_receiver_gets(self):
        with answering(send(OK)) as (port, got):
            outcome = Callbacks().post(f"http://127.0.0.1:{port}/in?x=%20", b'{"a": 1}')
        assert outcome == Outcome("201", delivered=True)
        ((head, body),) = got
        line, *headers = head.split("\r\n")
        assert line == "POST /in?x=%20 HTTP/1.1"
        assert {
            f"Host: 127.0.0.1:{port}",
            "Content-Type: application/json",
            "Content-Length: 8",
            "Connection: close",
        } <= {*headers}
        assert not any(header.lower().startswith("authorization") for header in headers)
        assert body == b'{"a": 1}'

    def test_over_ipv6(self):
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError:
            pytest.skip("this computer has no IPv6")
        with answering(send(OK), socket.AF_INET6) as (port, got):
            assert Callbacks().post(f"http://[::1]:{port}/", b"{}").delivered
        assert f"Host: [::1]:{port}" in got[0][0]

    @pytest.mark.parametrize("status", [200, 201, 204, 299])
    def test_a_success(self, status):
        with answering(send(b"HTTP/1.1 %d X\r\n\r\n" % status)) as (port, _):
            outcome = Callbacks().post(f"http://127.0.0.1:{port}/", b"{}")
        assert outcome == Outcome(str(status), delivered=True)

    @pytest.mark.parametrize("status", [300, 302, 307, 308, 400, 404, 410, 429, 500, 503, 999])
    def test_no_success_and_no_redirect_is_followed(self, status):
        head = b"HTTP/1.1 %d X\r\nLocation: /else\r\nContent-Length: 0\r\n\r\n" % status
        with answering(send(head)) as (port, got):
            assert Callbacks().post(f"http://127.0.0.1:{port}/", b"{}") == Outcome(str(status))
        assert len(got) == 1

    def test_the_checked_address_is_the_one_that_is_used(self):
        """A name that changes its address between two questions (DNS rebinding)."""

        class Rebinding(Names):
            def __call__(self, host, port):
                super().__call__(host, port)
                return ["127.0.0.1"] if len(self.asked) == 1 else ["169.254.169.254"]

        names = Rebinding()
        with answering(send(OK)) as (port, got):
            outcome = Callbacks(resolver=names).post(f"http://rebind.test:{port}/", b"{}")
        assert outcome.delivered
        assert names.asked == ["rebind.test"]
        assert f"Host: rebind.test:{port}" in got[0][0]

    def test_another_address_is_tried_when_the_first_does_not_answer(self):
        with answering(send(OK)) as (port, _):
            names = Names(two_test=["127.0.0.2", "127.0.0.1"])
            assert Callbacks(resolver=names).post(f"http://two.test:{port}/", b"{}").delivered

    def test_nobody_listens(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        assert Callbacks().post(f"http://127.0.0.1:{port}/", b"{}") == Outcome("no_connection")

    def test_an_unknown_name(self):
        def nowhere(host, port):
            raise socket.gaierror(-2, "Name or service not known")

        assert Callbacks(resolver=nowhere).post("http://x.test/", b"{}") == Outcome("unknown_host")

    def test_forbidden(self):
        assert Callbacks().post("http://10.0.0.1/", b"{}") == Outcome("not_allowed", hopeless=True)

    @pytest.mark.parametrize(
        "answer",
        [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 " + b"x" * 70_000,
         b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"\r\n"],
    )  # fmt: skip
    def test_what_is_no_http(self, answer):
        with answering(send(answer)) as (port, _):
            outcome = Callbacks().post(f"http://127.0.0.1:{port}/", b"{}")
        assert outcome in (Outcome("no_http"), Outcome("no_connection"))

    def test_a_proxy_of_the_environment_is_not_used(self, monkeypatch):
        with answering(send(OK)) as (port, got), answering(send(OK)) as (proxy, through):
            for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy}")
            assert Callbacks().post(f"http://127.0.0.1:{port}/", b"{}").delivered
        assert (len(got), len(through)) == (1, 0)


class TestTls:
    @pytest.fixture
    def authority(self, tmp_path, monkeypatch):
        """An authority that this computer trusts."""
        authority = trustme.CA()
        file = tmp_path / "authority.pem"
        authority.cert_pem.write_to_path(file)
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        posting._tls.cache_clear()
        yield authority
        posting._tls.cache_clear()

    @staticmethod
    def posted(authority, name, url="https://hooks.test"):
        """What comes of a message to a server that calls itself by a name."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(context)
        with answering(send(OK), context=context) as (port, _):
            names = Names(hooks_test=["127.0.0.1"])
            return Callbacks(resolver=names).post(f"{url}:{port}/", b"{}")

    def test_the_name_is_verified_although_the_address_was_checked(self, authority):
        assert self.posted(authority, "hooks.test").delivered
        assert self.posted(authority, "127.0.0.1", "https://127.0.0.1").delivered
        assert self.posted(authority, "other.test") == Outcome("tls")
        assert self.posted(authority, "127.0.0.1") == Outcome("tls")

    def test_an_unknown_authority(self, authority):
        assert self.posted(trustme.CA(), "hooks.test") == Outcome("tls")

    def test_a_server_without_tls(self, authority):
        def refuse():
            with listener.accept()[0] as connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                connection.recv(65_536)

        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=refuse)
            thread.start()
            url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
            assert Callbacks().post(url, b"{}") == Outcome("tls")
            thread.join()

    def test_a_handshake_that_never_ends(self, authority):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
            assert Callbacks(seconds=0.2).post(url, b"{}") == Outcome("timeout")


class TestLimits:
    def test_a_receiver_that_never_answers(self):
        ended = threading.Event()
        with answering(lambda connection: ended.wait(20)) as (port, _):
            began = monotonic()
            outcome = Callbacks(seconds=0.2).post(f"http://127.0.0.1:{port}/", b"{}")
            took = monotonic() - began
            ended.set()
        assert outcome == Outcome("timeout")
        assert took < 10

    def test_a_receiver_that_answers_drop_by_drop(self):
        ended = threading.Event()

        def drip(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            while not ended.wait(0.02):
                connection.sendall(b"X-Drop: 1\r\n")

        with answering(drip) as (port, _):
            outcome = Callbacks(seconds=0.3).post(f"http://127.0.0.1:{port}/", b"{}")
            ended.set()
        assert outcome in (Outcome("timeout"), Outcome("no_http"))

    def test_an_answer_without_end_is_not_read_to_its_end(self):
        sent = []

        def pour(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                sent.append(connection.send(b"x" * 65_536))

        with answering(pour) as (port, _):
            assert Callbacks().post(f"http://127.0.0.1:{port}/", b"{}").delivered
        assert sum(sent) < 50_000_000

    def test_a_success_whose_body_never_comes_is_a_success(self):
        ended = threading.Event()

        def half(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            ended.wait(20)

        with answering(half) as (port, _):
            outcome = Callbacks(seconds=0.3).post(f"http://127.0.0.1:{port}/", b"{}")
            ended.set()
        assert outcome == Outcome("200", delivered=True)

    def test_the_end_breaks_off_what_is_being_sent(self):
        ended, reached = threading.Event(), threading.Event()

        def hang(connection):
            reached.set()
            ended.wait(20)

        sender, outcomes = Callbacks(), []
        with answering(hang) as (port, _):
            url = f"http://127.0.0.1:{port}/"
            thread = threading.Thread(target=lambda: outcomes.append(sender.post(url, b"{}")))
            thread.start()
            assert reached.wait(10)
            sender.end()
            thread.join(5)
            assert not thread.is_alive()
            ended.set()
        assert not outcomes[0].delivered
        with answering(send(OK)) as (port, got):
            assert sender.post(f"http://127.0.0.1:{port}/", b"{}") == Outcome("no_connection")
        assert got == []
