"""Commands on the connection itself: PING, ECHO, QUIT, RESET, SELECT, AUTH, HELLO."""
from __future__ import annotations

import hmac
from typing import NamedTuple

from shardkv import REDIS_VERSION
from shardkv.acceptor.local.client import checked_name
from shardkv.acceptor.local.replies import integer, shown
from shardkv.acceptor.registry import Host, Request, Session, effect, local
from shardkv.errors import BAD_DB, SYNTAX, CommandError, wrong_arity

DEFAULT_USER = "default"
WRONG_PASSWORD = "WRONGPASS invalid username-password pair or user is disabled."
NO_PASSWORD_SET = (
    "ERR AUTH <password> called without any password configured for the default user. "
    "Are you sure your configuration is correct?"
)
HELLO_NEEDS_AUTH = (
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> "
    "option can be used to authenticate the client and select the RESP protocol version at the same time"
)
NO_SUCH_PROTOCOL = "NOPROTO unsupported protocol version"
BAD_PROTOCOL = "ERR Protocol version is not an integer or out of range"
INT_RANGE = "ERR value is out of range, value must between -2147483648 and 2147483647"


@local("ping")
def ping(request: Request) -> None:
    if len(request.args) > 2:
        raise CommandError(wrong_arity("ping"))
    if len(request.args) == 2:
        request.reply.string(request.args[1])
    else:
        request.reply.status("PONG")


@local("echo")
def echo(request: Request) -> None:
    request.reply.string(request.args[1])


@local("quit")
def quit_(request: Request) -> None:
    request.reply.status("OK")
    request.client.close_after_reply()


@local("reset")
def reset(request: Request) -> None:
    """As good as a new connection, but for its id and the library's name."""
    client = request.client
    client.db = 0
    client.name = b""
    client.user = DEFAULT_USER
    client.authenticated = not request.server.settings.get("requirepass")
    client.no_touch = client.no_evict = False
    client.forget_transaction()
    client.reply_mode = "on"
    client.resp = request.reply.resp = 2
    request.reply.status("RESET")


@local("select")
def select(request: Request) -> None:
    request.client.db = database_of(request.server, request.args[1])
    request.reply.status("OK")


def database_of(server: Host, text: bytes) -> int:
    """Returns the number of the database that `text` names. Raises CommandError when there is none."""
    index = integer(text)
    if not -(1 << 31) <= index < 1 << 31:
        raise CommandError(INT_RANGE)
    if not 0 <= index < server.settings.number("databases"):
        raise CommandError(BAD_DB)
    return index


@effect("select")
def foresee_select(server: Host, args: list[bytes]) -> Session:
    """Commands queued behind SELECT are for its database."""
    return Session(database=database_of(server, args[1]))


@local("auth")
def auth(request: Request) -> None:
    if len(request.args) > 3:
        raise CommandError(SYNTAX)
    if len(request.args) == 2 and not request.server.settings.get("requirepass"):
        raise CommandError(NO_PASSWORD_SET)
    user, password = (DEFAULT_USER.encode(), *request.args[1:])[-2:]
    check_password(request.server, user, password)
    request.client.user = DEFAULT_USER
    request.client.authenticated = True
    request.reply.status("OK")


def check_password(server: Host, user: bytes, password: bytes) -> None:
    """Raises CommandError unless `password` is the user's; where none is required, any will do."""
    required = server.settings.get("requirepass").encode("utf-8", "surrogateescape")
    right = hmac.compare_digest(required, password) or not required
    if user != DEFAULT_USER.encode() or not right:
        raise CommandError(WRONG_PASSWORD)


@local("hello")
def hello(request: Request) -> None:
    """All options are checked before any takes effect."""
    client = request.client
    options = _hello_options(request.server, request.args)
    if options.has_password:
        client.user = DEFAULT_USER
        client.authenticated = True
    if not client.authenticated:
        raise CommandError(HELLO_NEEDS_AUTH)
    if options.name is not None:
        client.name = options.name
    client.resp = request.reply.resp = options.version or client.resp
    _introduce(request)


@effect("hello")
def foresee_hello(server: Host, args: list[bytes]) -> Session:
    """Commands queued behind HELLO reply in its protocol. Who may queue has authenticated."""
    return Session(resp=_hello_options(server, args).version)


class _HelloOptions(NamedTuple):
    version: int | None
    name: bytes | None
    has_password: bool


def _hello_options(server: Host, args: list[bytes]) -> _HelloOptions:
    # Raises CommandError, also for a wrong password.
    version = _protocol(args[1]) if len(args) > 1 else None
    name: bytes | None = None
    credentials: tuple[bytes, bytes] | None = None
    options = iter(args[2:])
    for option in options:
        values = {b"auth": 2, b"setname": 1}.get(option.lower(), 0)
        given = [value for _, value in zip(range(values), options, strict=False)]
        if not values or len(given) < values:
            raise CommandError(f"ERR Syntax error in HELLO option '{shown(option)}'")
        if values == 2:
            credentials = given[0], given[1]
        else:
            name = checked_name(given[0])
    if credentials is not None:
        check_password(server, *credentials)
    return _HelloOptions(version, name, credentials is not None)


def _protocol(text: bytes) -> int:
    version = integer(text, BAD_PROTOCOL)
    if version not in (2, 3):
        raise CommandError(NO_SUCH_PROTOCOL)
    return version


def _introduce(request: Request) -> None:
    request.reply.value(
        {
            "server": "redis",
            "version": REDIS_VERSION,
            "proto": request.client.resp,
            "id": request.client.id,
            "mode": "standalone",
            "role": "master",
            "modules": [],
        }
    )
