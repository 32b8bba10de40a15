"""What a stranger can make a server keep: no long heads, no connections that say nothing, no slow bodies."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from penstock.api import service
from penstock.server import connections

from .kit import Server

HEAD = b"GET /api/version HTTP/1.1\r\nHost: 127.0.0.1\r\n"


def raw(server: Server, *parts: bytes) -> bytes:
    """What a server says to these bytes until it closes the connection (or has said enough)."""
    assert server.parts.hostname is not None
    assert server.parts.port is not None
    said = b""
    with socket.create_connection((server.parts.hostname, server.parts.port), timeout=20) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for part in parts:
                connection.sendall(part)
        with contextlib.suppress(ConnectionResetError):
            while b"}" not in said and (more := connection.recv(65536)):
                said += more
    return said


def test_a_head_without_end_is_not_kept(server: Server) -> None:
    """Nobody needs to sign in to send one."""
    piece = b"x" * 100_000
    said = raw(server, HEAD + b"X: ", *[piece] * 100)
    assert b"200 OK" not in said
    assert b"200 OK" in raw(server, HEAD + b"X: " + b"x" * 30_000 + b"\r\n\r\n")


@pytest.mark.parametrize(
    "name", [b"127.evil.example", b"127.0.0.1.evil.example:80", b"127.0.0.1@evil.example", b"127.0.0.1\r\nHost: evil"]
)
def test_a_name_that_begins_like_an_address_is_another_name(server: Server, name: bytes) -> None:
    """Whoever owns it can give it the address 127.0.0.1, and has a page that may ask this server anything."""
    assert b"403 Forbidden" in raw(server, b"GET /api/version HTTP/1.1\r\nHost: " + name + b"\r\n\r\n")
    assert server.ask("GET", "/version", host="127.0.0.1:4200").status == 200


@pytest.mark.parametrize("path", [b"/api/journal", b"/api/flows/name/x", b"/api/nothing", b"/metrics"])
def test_a_websocket_to_where_there_is_none_is_refused_without_a_fault(server: Server, path: bytes) -> None:
    said = raw(
        server,
        b"GET " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )
    assert b"403 Forbidden" in said
    assert "fault" not in server.log.read_text()


@contextlib.asynccontextmanager
async def listening(app: Callable[..., Any]) -> AsyncIterator[int]:
    config = uvicorn.Config(app, http=connections.Connection, ws="none", lifespan="off", log_config=None)
    config.load()
    loop = asyncio.get_running_loop()
    state = ServerState()
    made = await loop.create_server(lambda: connections.Connection(config, state, {}), "127.0.0.1", 0)
    async with made:
        yield made.sockets[0].getsockname()[1]


async def _answer(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


@pytest.mark.parametrize("begun", [b"", HEAD, HEAD + b"\r\n" + HEAD], ids=["nothing", "half a head", "a second half"])
def test_who_does_not_say_what_they_want_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, begun: bytes) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.1)

    async def ask() -> None:
        async with listening(_answer) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(begun)
            async with asyncio.timeout(10):
                await reader.read()  # to its end, which is the server's doing
            writer.close()

    asyncio.run(ask())


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "BODY_SECONDS", 0.05)

    async def nothing() -> Any:
        await asyncio.Event().wait()

    with pytest.raises(service.TooSlow):
        asyncio.run(service.read_body({"headers": []}, nothing, 100))  # type: ignore[arg-type]
