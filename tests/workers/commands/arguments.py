"""Arguments for any command of the table, as it describes them: mostly sensible, now and then nonsense."""
from __future__ import annotations

from hypothesis import strategies as st

from shardkv.commands.spec import Arg
from shardkv.commands.table import by_name

Words = tuple[str, list[bytes]]  # a command's name, and its arguments

KEYS = st.sampled_from([b"a", b"a", b"a", b"a", b"b", b"b", b"c", b"", b"k" * 1500])
VALUES = st.sampled_from(
    [b"", b"1", b"-7", b"3.5", b"short", b"x" * 45, b"x" * 300, b"y" * 2040, b"y" * 2100, b"z" * 40_000, b"9" * 18]
)
INTEGERS = st.sampled_from([b"0", b"1", b"2", b"7", b"-1", b"40", b"3000", b"9223372036854775807", b"nonsense"])
OF_TYPE: dict[str, st.SearchStrategy[bytes]] = {
    "key": KEYS,
    "string": VALUES,
    "integer": INTEGERS,
    "double": st.sampled_from([b"1.5", b"-3e2", b"x"]),
    "unix-time": st.sampled_from([b"1", b"4999", b"5001", b"5000001", b"9999999", b"99999999999"]),
    "pattern": st.sampled_from([b"*", b"a*", b"[ab]"]),
}
ITEMS = st.sampled_from([b"a", b"b", b"c", b"d", b"1", b"2", b"-3", b"70000", b"1.5", b"", b"x" * 70])
ENDS = st.sampled_from(
    [b"0", b"1", b"(1", b"2.5", b"-inf", b"+inf", b"-1", b"[a", b"(c", b"-", b"+", b"1-1", b"nonsense"]
)
IDS = st.sampled_from([b"0", b"1-1", b"2", b"2-1", b"5-0", b"7-1", b"0-0", b"nonsense"])
SMALL = st.sampled_from([b"0", b"1", b"1", b"2", b"3", b"-1", b"-2", b"nonsense"])
# What DUMP answers for a value of each type: short ones, and ones that are too long to be packed.
DUMPS = st.sampled_from([
    bytes.fromhex(dump) for dump in (
        "000576616c75650a0081f6c138c1aa9b6e",
        "1201020f0f00000003008161020101816202ff0a009043a34ceb8e1b1c",
        "0b0e02000000030000000100020003000a00a5025ce26d6e4d1b",
        "0202c30540640061e05a00c0010a003611c8abd5222d9c",
        "10121200000004008161020101816202817802ff0a0078074c6bd9d7051f",
        "04010166c30540640076e05a000a006121615160ccf603",
        "1114140000000400816102010181620283322e3504ff0a00d44c6ea4f644d9d7",
        "0501c30540640061e05a00000000000000f03f0a00a51c38a052f368fb",
    )
])
# Of streams, ends are ids.
AS_IDS = {
    b"2.5": b"2-1", b"-inf": b"-", b"+inf": b"+", b"[a": b"(2-1", b"(c": b"(1-1", b"(1": b"5-0",
    b"-7": b"2-1", b"3.5": b"+", b"short": b"5-0",
}
# What a stream's commands find: entries and groups, and some of them pending for consumers.
STREAM_IN_USE: list[Words] = [
    ("xadd", [b"a", b"1-1", b"a", b"1"]),
    ("xadd", [b"a", b"2-1", b"b", b"2"]),
    ("xadd", [b"a", b"5-0", b"a", b"3"]),
    ("xadd", [b"b", b"2-1", b"a", b"4"]),
    ("xgroup|create", [b"a", b"g", b"0"]),
    ("xgroup|create", [b"a", b"h", b"1-1"]),
    ("xgroup|create", [b"b", b"g", b"0"]),
    ("xgroup|createconsumer", [b"a", b"g", b"v"]),
    ("xgroup|createconsumer", [b"a", b"g", b"w"]),
    ("xreadgroup", [b"GROUP", b"g", b"v", b"COUNT", b"2", b"STREAMS", b"a", b">"]),
]
OF_NAME = {
    "serialized-value": DUMPS,
    "encoding": st.sampled_from([b"u8", b"i16", b"u63", b"i65"]),
    "bit": st.sampled_from([b"0", b"1"]),
    **dict.fromkeys(("member", "member1", "member2", "field", "element", "pivot"), ITEMS),
    **dict.fromkeys(("min", "max"), ENDS),
    **dict.fromkeys(("ID", "id", "last-id", "lastid", "max-deleted-id", "threshold"), IDS),
    **dict.fromkeys(("index", "rank", "count", "limit"), SMALL),
    "start": ENDS,
    "stop": ENDS,
    "score": st.sampled_from([b"0", b"1", b"1", b"2", b"3", b"-1.5", b"7", b"inf", b"-inf", b"3e10", b"0.25", b"nan"]),
    "group": st.sampled_from([b"g", b"h"]),
    "consumer": st.sampled_from([b"v", b"w"]),
    "longitude": st.sampled_from([b"13.361389", b"15.087269", b"13.5", b"14", b"-180", b"181"]),
    "latitude": st.sampled_from([b"38.115556", b"37.502669", b"38", b"37.9", b"-85", b"86"]),
    **dict.fromkeys(("radius", "width", "height"), st.sampled_from([b"0", b"10", b"200", b"4e4", b"-1"])),
    "subcommand": st.sampled_from([b"GETREG", b"DECODE", b"ENCODING", b"TODENSE", b"nonsense"]),
    "cursor": st.sampled_from([b"0", b"0", b"5", b"nonsense"]),
    **dict.fromkeys(("entries-read", "entriesread", "entries-added", "ttl", "min-idle-time"), SMALL),
}


def _one_time(arg: Arg) -> st.SearchStrategy[list[bytes]]:
    if arg.type == "pure-token":
        return st.just([arg.token.encode()])
    if arg.type == "oneof":
        words = st.one_of([one(option) for option in arg.args])
    elif arg.type == "block":
        words = several(arg.args)
    else:
        words = OF_NAME.get(arg.name, OF_TYPE[arg.type]).map(lambda word: [word])
    return words


def _behind(token: str, words: st.SearchStrategy[list[bytes]]) -> st.SearchStrategy[list[bytes]]:
    return words.map(lambda found: [token.encode(), *found])


def one(arg: Arg) -> st.SearchStrategy[list[bytes]]:
    """What may stand for one argument, as the command table describes it."""
    words = _one_time(arg)
    tokened = bool(arg.token) and arg.type != "pure-token"
    if tokened and arg.multiple_token:
        words = _behind(arg.token, words)
    if arg.multiple:
        words = st.lists(words, min_size=1, max_size=3).map(lambda found: sum(found, []))
    if tokened and not arg.multiple_token:
        words = _behind(arg.token, words)
    return st.one_of(st.just([]), words) if arg.optional else words


def _numbered(arg: Arg) -> st.SearchStrategy[list[bytes]]:
    # As many as the number before them says, most of the time.
    lists = st.lists(_one_time(arg), min_size=1, max_size=3)
    return st.tuples(lists, st.sampled_from([0, 0, 0, 0, 0, 1, -1])).map(
        lambda drawn: [b"%d" % (len(drawn[0]) + drawn[1]), *sum(drawn[0], [])]
    )


def _of_streams() -> st.SearchStrategy[list[bytes]]:
    # Keys, and as many IDs.
    news = st.one_of(IDS, st.sampled_from([b">", b"$"]))
    return st.lists(st.tuples(KEYS, news), min_size=1, max_size=2).map(
        lambda pairs: [*(key for key, _ in pairs), *(last for _, last in pairs)]
    )


def several(args: tuple[Arg, ...]) -> st.SearchStrategy[list[bytes]]:
    """What may stand for arguments in a row."""
    if [arg.name for arg in args] == ["key", "ID"]:
        return _of_streams()
    parts: list[st.SearchStrategy[list[bytes]]] = []
    for place, arg in enumerate(args):
        if place and args[place - 1].name in ("numkeys", "numfields"):
            parts[-1] = _numbered(arg)
        else:
            parts.append(one(arg))
    return st.tuples(*parts).map(lambda found: sum(found, []))


def call_of(name: str) -> st.SearchStrategy[Words]:
    """A call of one command with arguments that mostly make sense."""
    words = several(by_name[name].args)
    if by_name[name].group == "stream":
        words = words.map(lambda drawn: [AS_IDS.get(word, word) for word in drawn])
    return words.map(lambda drawn: (name, drawn))
