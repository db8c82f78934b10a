"""CLIENT: what a connection says and asks about itself. See clients.py for the subcommands on all connections."""
from __future__ import annotations

from shardkv.acceptor.local.replies import on_or_off, send_help, shown
from shardkv.acceptor.registry import Host, Request, Session, effect, local
from shardkv.errors import SYNTAX, CommandError

BAD_NAME = "ERR Client names cannot contain spaces, newlines or special characters."

HELP = (
    ("GETNAME", "Return the name of this connection."),
    ("ID", "Return the id of this connection."),
    ("INFO", "Return what CLIENT LIST tells of this connection."),
    ("KILL <ip:port>", "Close the connection that comes from <ip:port>."),
    (
        "KILL <option> <value> [<option> <value> [...]]",
        "Close the connections that fit all the options:",
        "* ADDR (<ip:port>|<unixsocket>:0)",
        "  Those that come from this address",
        "* LADDR (<ip:port>|<unixsocket>:0)",
        "  Those that came to this local address",
        "* TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
        "  Those of this type",
        "* USER <username>",
        "  Those of this user",
        "* ID <client-id>",
        "  The one with this id",
        "* SKIPME (YES|NO)",
        "  Whether to spare this connection (default: yes)",
    ),
    (
        "LIST [options ...]",
        "Return a line for each connection. Options:",
        "* TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
        "  Only those of this type",
        "* ID <client-id> [<client-id> [...]]",
        "  Only those with these ids",
    ),
    ("UNPAUSE", "End a pause at once."),
    ("PAUSE <timeout> [WRITE|ALL]", "Hold back all commands, or those that write, for <timeout> milliseconds."),
    ("REPLY (ON|OFF|SKIP)", "Say whether this connection gets replies."),
    ("SETNAME <name>", "Name this connection."),
    (
        "SETINFO <option> <value>",
        "Describe the client. Options:",
        "* LIB-NAME: its library's name",
        "* LIB-VER: its library's version",
    ),
    ("UNBLOCK <clientid> [TIMEOUT|ERROR]", "End the wait of a blocked client."),
    ("NO-EVICT (ON|OFF)", "Spare this connection when connections are closed for want of memory."),
    ("NO-TOUCH (ON|OFF)", "Leave the access times of keys as they are."),
)


@local("client|help")
def help_(request: Request) -> None:
    send_help(request, HELP)


@local("client|id")
def id_(request: Request) -> None:
    request.reply.number(request.client.id)


# Names


def printable(text: bytes) -> bool:
    """Whether `text` can be a field of CLIENT LIST: ASCII without spaces."""
    return all(0x21 <= byte <= 0x7E for byte in text)


def checked_name(name: bytes) -> bytes:
    """Returns `name` if a connection may have it. Raises CommandError."""
    if not printable(name):
        raise CommandError(BAD_NAME)
    return name


@local("client|getname")
def getname(request: Request) -> None:
    name = request.client.name
    if name:
        request.reply.string(name)
    else:
        request.reply.null()


@local("client|setname")
def setname(request: Request) -> None:
    request.client.name = checked_name(request.args[2])
    request.reply.status("OK")


@local("client|setinfo")
def setinfo(request: Request) -> None:
    option, value = request.args[2:]
    if option.lower() not in (b"lib-name", b"lib-ver"):
        raise CommandError(f"ERR Unrecognized option '{shown(option)}'")
    if not printable(value):
        raise CommandError(f"ERR {shown(option)} cannot contain spaces, newlines or special characters.")
    if option.lower() == b"lib-name":
        request.client.lib_name = value
    else:
        request.client.lib_ver = value
    request.reply.status("OK")


# Switches of this connection


@local("client|no-evict")
def no_evict(request: Request) -> None:
    request.client.no_evict = on_or_off(request.args[2])
    request.reply.status("OK")


@local("client|no-touch")
def no_touch(request: Request) -> None:
    request.client.no_touch = on_or_off(request.args[2])
    request.reply.status("OK")


@effect("client|no-touch")
def foresee_no_touch(server: Host, args: list[bytes]) -> Session:
    """Commands queued behind CLIENT NO-TOUCH heed it."""
    return Session(no_touch=on_or_off(args[2]))


@local("client|reply")
def reply(request: Request) -> None:
    """OFF and SKIP are the commands without a reply: the connection drops what it is told to, this one's included."""
    mode = request.args[2].lower()
    if mode not in (b"on", b"off", b"skip"):
        raise CommandError(SYNTAX)
    if mode != b"skip" or request.client.reply_mode != "off":
        request.client.reply_mode = mode.decode()
    request.reply.status("OK")
