import asyncio
import http.client
import json
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

from explorer.views.server.app import make_app
from explorer.views.server.events import EventStreams
from explorer.views.server.feed import Feed
from explorer.views.server.security import AccessRules, Keys
from explorer.views.server.thread import Server
from explorer.web.addresses import allowed_hosts

PORT = 8321
TOKEN = "the-token"


@pytest.fixture(scope="session")
def makers():
    """The makers of made-up studies."""
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "makers.py")))


@pytest.fixture
def access():
    return AccessRules(allowed_hosts("127.0.0.1", PORT), Keys(TOKEN), PORT)


class Site:
    """The application, asked without a network. `ask` gives (status, headers, body); headers are lists of pairs."""

    def __init__(self, result, access):
        self.feed = Feed(result)
        self.faults = []
        self.app = make_app(self.feed, EventStreams(self.feed), access, self.faults.append)

    def ask(self, path, method="GET", headers=(), cookie=TOKEN, host=f"127.0.0.1:{PORT}"):
        sent = [("host", host)] if host else []
        sent += [("cookie", f"explore-{PORT}={cookie}")] if cookie else []
        return asyncio.run(ask(self.app, path, method, [*sent, *headers]))


async def ask(app, path, method, headers):
    target, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "path": target,
        "raw_path": target.encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers],
        "server": ("127.0.0.1", PORT),
        "client": ("127.0.0.1", 1),
    }
    answers = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        answers.append(message)

    try:
        await app(scope, receive, send)
    except Exception:
        # Starlette answers 500 and raises again, for the server's log.
        assert answers, "an exception without an answer"
    start, *parts = answers
    fields = {name.decode(): value.decode() for name, value in start["headers"]}
    return start["status"], fields, b"".join(part.get("body", b"") for part in parts)


@pytest.fixture
def site(makers, access):
    return Site(makers.make_small_result(), access)


@pytest.fixture
def make_site(access):
    return lambda result: Site(result, access)


class Reader:
    """A browser's side of a real server: keeps the cookie, reads events."""

    def __init__(self, link):
        self.netloc = link.split("/")[2]
        self.token = link.partition("token=")[2]
        port = self.netloc.rpartition(":")[2]
        self.headers = {"Cookie": f"explore-{port}={self.token}"}
        self.streams = []

    def get(self, path, headers=None):
        connection = http.client.HTTPConnection(self.netloc, timeout=120)
        connection.request("GET", path, headers=self.headers if headers is None else headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, dict(answer.getheaders()), body

    def events(self, since=None, last_id=None):
        """Opens the stream; `next` gives (event, id, data)."""
        connection = http.client.HTTPConnection(self.netloc, timeout=120)
        headers = self.headers | ({} if last_id is None else {"Last-Event-ID": str(last_id)})
        connection.request("GET", "/api/events" + ("" if since is None else f"?since={since}"), headers=headers)
        stream = Stream(connection, connection.getresponse())
        self.streams.append(stream)
        return stream


class Stream:
    def __init__(self, connection, answer):
        self.connection = connection
        self.answer = answer
        self.last_id = None

    def __iter__(self):
        return self

    def __next__(self):
        """The next event; StopIteration when the server has ended the stream. Comments are left out."""
        fields = {}
        while True:
            line = self.answer.readline()
            if not line:
                raise StopIteration
            text = line.decode().rstrip("\n")
            if text and not text.startswith(":"):
                name, _, value = text.partition(": ")
                fields[name] = value
            elif not text and "data" in fields:
                self.last_id = fields["id"]
                return fields["event"], int(self.last_id.partition("-")[0]), json.loads(fields["data"])
            elif not text:
                fields = {}

    def until(self, event):
        """The data of the next event of that name."""
        return next(data for name, _, data in self if name == event)

    def close(self):
        self.answer.close()
        self.connection.close()


@pytest.fixture
def serve():
    """Starts real servers, and stops them. `faults` has what they complained of."""
    servers, readers, faults = [], [], []

    def start(feed, **options):
        server = Server(feed, on_fault=faults.append, **({"port": 0} | options))
        servers.append(server)
        reader = Reader(server.link)
        readers.append(reader)
        return server, reader

    yield start
    for reader in readers:
        for stream in reader.streams:
            stream.close()
    for server in servers:
        server.stop()
    assert faults == []
