"""Commands on the connection they come from, and on other connections."""
from __future__ import annotations

from functools import partial

from shardkv.commands.spec import Arg, Command, block, integer, one_of, word

connection = partial(Command, group="connection", acl=("connection",), complexity="O(1)")
client = partial(connection, flags=("noscript", "loading", "stale"))
client_admin = partial(connection, flags=("admin", "noscript", "loading", "stale"))

BEFORE_AUTH = ("noscript", "loading", "stale", "fast", "no_auth", "allow_busy")
ENABLED = one_of("enabled", word("ON"), word("OFF"))
EVERY_NODE = ("request_policy:all_nodes", "response_policy:all_succeeded")

CLIENT_SUBCOMMANDS: tuple[Command, ...] = (
    client(name="getname", arity=2, since="2.6.9", summary="Returns the connection's name."),
    connection(
        name="help", arity=2, since="5.0.0", flags=("loading", "stale"),
        summary="Tells what the subcommands do.",
    ),
    client(name="id", arity=2, since="5.0.0", summary="Returns the connection's number, which no other one ever has."),
    client(
        name="info", arity=2, since="6.2.0", tips=("nondeterministic_output",),
        summary="Returns what `CLIENT LIST` tells of this connection.",
    ),
    client_admin(
        name="kill", arity=-3, since="2.4.0",
        summary="Closes connections.",
        complexity="O(N), N being the number of connections",
        args=(
            one_of(
                "filter",
                Arg("old-format", display="ip:port", deprecated_since="2.8.12"),
                one_of(
                    "new-format",
                    integer("client-id", token="ID", optional=True, since="2.8.12"),
                    one_of(
                        "client-type",
                        word("NORMAL"), word("MASTER", since="3.2.0"), word("SLAVE"), word("REPLICA", since="5.0.0"),
                        word("PUBSUB"),
                        token="TYPE", optional=True, since="2.8.12",
                    ),
                    Arg("username", token="USER", optional=True),
                    Arg("addr", token="ADDR", display="ip:port", optional=True),
                    Arg("laddr", token="LADDR", display="ip:port", optional=True, since="6.2.0"),
                    one_of("skipme", word("YES"), word("NO"), token="SKIPME", optional=True),
                    multiple=True,
                ),
            ),
        ),
        history=(
            ("2.8.12", "Filters may be given, in place of one address."),
            ("2.8.12", "The filter `ID` came."),
            ("3.2.0", "The `TYPE` `master` came."),
            ("5.0.0", "The `TYPE` `replica` came; `slave` still means the same."),
            ("6.2.0", "The filter `LADDR` came."),
        ),
    ),
    client_admin(
        name="list", arity=-2, since="2.4.0", tips=("nondeterministic_output",),
        summary="Returns a line for each connection.",
        complexity="O(N), N being the number of connections",
        args=(
            one_of(
                "client-type", word("NORMAL"), word("MASTER"), word("REPLICA"), word("PUBSUB"),
                token="TYPE", optional=True, since="5.0.0",
            ),
            integer("client-id", token="ID", optional=True, multiple=True, since="6.2.0"),
        ),
        history=(
            ("2.8.12", "The field `id` came."),
            ("5.0.0", "The filter `TYPE` came."),
            ("6.0.0", "The field `user` came."),
            ("6.2.0", "The fields `argv-mem`, `tot-mem`, `laddr` and `redir` came, and the filter `ID`."),
            ("7.0.0", "The fields `resp`, `multi-mem`, `rbs` and `rbp` came."),
            ("7.0.3", "The field `ssub` came."),
        ),
    ),
    client_admin(
        name="no-evict", arity=3, since="7.0.0", args=(ENABLED,),
        summary="Keeps this connection when connections are closed to get memory back.",
    ),
    client(
        name="no-touch", arity=3, since="7.2.0", args=(ENABLED,),
        summary="Lets this connection's commands leave the access times of keys alone.",
    ),
    client_admin(
        name="pause", arity=-3, since="3.0.0",
        summary="Holds the commands of all clients for a time.",
        args=(integer("timeout"), one_of("mode", word("WRITE"), word("ALL"), optional=True, since="6.2.0")),
        history=(("6.2.0", "The argument `mode` came, and with it `WRITE`."),),
    ),
    client(
        name="reply", arity=3, since="3.2.0", args=(one_of("action", word("ON"), word("OFF"), word("SKIP")),),
        summary="Says whether this connection gets replies.",
    ),
    client(
        name="setinfo", arity=4, since="7.2.0", tips=EVERY_NODE,
        summary="Notes what library the client uses.",
        args=(one_of("attr", Arg("libname", token="LIB-NAME"), Arg("libver", token="LIB-VER")),),
    ),
    client(
        name="setname", arity=3, since="2.6.9", tips=EVERY_NODE, args=(Arg("connection-name"),),
        summary="Names the connection.",
    ),
    client_admin(
        name="unblock", arity=-3, since="5.0.0",
        summary="Ends another connection's wait in a blocking command.",
        complexity="O(log N), N being the number of connections",
        args=(integer("client-id"), one_of("unblock-type", word("TIMEOUT"), word("ERROR"), optional=True)),
    ),
    client_admin(
        name="unpause", arity=2, since="6.2.0",
        summary="Ends `CLIENT PAUSE`.",
        complexity="O(N), N being the number of paused clients",
    ),
)

COMMANDS: tuple[Command, ...] = (
    connection(
        name="auth", arity=-2, since="1.0.0", flags=BEFORE_AUTH,
        summary="Tells the connection's user and password.",
        complexity="O(N), N being the number of the user's passwords",
        args=(Arg("username", optional=True, since="6.0.0"), Arg("password")),
        history=(("6.0.0", "A user name may stand before the password."),),
    ),
    Command(
        name="client", arity=-2, group="connection", since="2.4.0",
        summary="Subcommands on connections.",
        complexity="That of the subcommand.",
        subcommands=CLIENT_SUBCOMMANDS,
    ),
    connection(
        name="echo", arity=2, since="1.0.0", flags=("loading", "stale", "fast"), args=(Arg("message"),),
        summary="Returns its argument.",
    ),
    connection(
        name="hello", arity=-1, since="6.0.0", flags=BEFORE_AUTH,
        summary="Chooses the protocol's version; may also authenticate and name the connection.",
        args=(
            block(
                "arguments",
                integer("protover"),
                block("auth", Arg("username"), Arg("password"), token="AUTH", optional=True),
                Arg("clientname", token="SETNAME", optional=True),
                optional=True,
            ),
        ),
        history=(("6.2.0", "Without arguments the command tells of the connection and changes nothing."),),
    ),
    connection(
        name="ping", arity=-1, since="1.0.0", flags=("fast",), args=(Arg("message", optional=True),),
        summary="Returns PONG, or its argument.",
        tips=("request_policy:all_shards", "response_policy:all_succeeded"),
    ),
    connection(
        name="quit", arity=-1, since="1.0.0", flags=BEFORE_AUTH,
        summary="Closes the connection.",
        deprecated_since="7.2.0", replaced_by="just closing the connection", doc_flags=("deprecated",),
    ),
    connection(
        name="reset", arity=1, since="6.2.0", flags=BEFORE_AUTH,
        summary="Makes the connection as good as new.",
    ),
    connection(
        name="select", arity=2, since="1.0.0", flags=("loading", "stale", "fast"), args=(integer("index"),),
        summary="Chooses the connection's database.",
    ),
)
