"""Arguments for any command of the table, as it describes them: mostly sensible, now and then nonsense."""
from __future__ import annotations

from collections.abc import Mapping

from hypothesis import strategies as st

from shardkv.commands.spec import Arg
from shardkv.commands.table import by_name

Words = tuple[str, list[bytes]]  # a command's name, and its arguments

KEYS = st.sampled_from([b"a", b"a", b"a", b"a", b"b", b"b", b"c", b"", b"k" * 1500])
VALUES = st.sampled_from(
    [b"", b"1", b"-7", b"3.5", b"short", b"x" * 45, b"x" * 300, b"y" * 2040, b"y" * 2100, b"z" * 40_000, b"9" * 18]
)
INTEGERS = st.sampled_from(
    [b"0", b"1", b"2", b"2", b"7", b"7", b"-1", b"40", b"40", b"3000", b"9223372036854775807", b"nonsense"]
)
OF_TYPE: dict[str, st.SearchStrategy[bytes]] = {
    "key": KEYS,
    "string": VALUES,
    "integer": INTEGERS,
    "double": st.sampled_from([b"1.5", b"-3e2", b"0", b"2", b"0.25", b"-1", b"x"]),
    "unix-time": st.sampled_from([b"1", b"4999", b"5001", b"5000001", b"9999999", *[b"99999999999"] * 5]),
    "pattern": st.sampled_from([b"*", b"a*", b"[ab]"]),
}
ITEMS = st.sampled_from([b"a", b"b", b"c", b"d", b"1", b"2", b"-3", b"70000", b"1.5", b"", b"x" * 70])
RANKS = st.sampled_from([b"0", b"0", b"1", b"2", b"-1", b"-1", b"-2", b"-100", b"500", b"nonsense"])
SCORES = st.sampled_from([b"0", b"1", b"(1", b"2.5", b"-inf", b"-inf", b"+inf", b"+inf", b"-1", b"3", b"nonsense"])
LEX = st.sampled_from([b"[a", b"(c", b"-", b"-", b"+", b"+", b"[b", b"(", b"nonsense"])
ENDS = st.one_of(RANKS, SCORES, LEX, st.sampled_from([b"1-1", b"nonsense"]))
IDS = st.sampled_from([b"0", b"1-1", b"2", b"2-1", b"5-0", b"7-1", b"0-0", b"nonsense"])
STREAM_ENDS = st.sampled_from(
    [b"-", b"-", b"-", b"+", b"+", b"+", b"1-1", b"(1-1", b"2-1", b"5-0", b"0", b"nonsense"]
)
SMALL = st.sampled_from([b"0", b"1", b"1", b"1", b"2", b"2", b"3", b"3", b"-1", b"-2", b"nonsense"])
COUNTS = st.sampled_from([b"1", b"1", b"2", b"2", b"3", b"10", b"500", b"-2", b"0"])
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
        "13011000000000000000010000000000000001c34042404707470000001d0003014000078161020001020100200103010104014014400f00"
        "0420134015000320090000200313dfff0202018162028178028163028179020801ff03050001010201040101670201020200000000000000"
        "010000000000000001a1fefe04a20100000100000000000000020000000000000001a1fefe04a201000001010176a1fefe04a20100000200"
        "000000000000010000000000000001000000000000000200000000000000010a00cba0a788396fa059",
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
OF_NAME: dict[str, st.SearchStrategy[bytes]] = {
    "serialized-value": DUMPS,
    "encoding": st.sampled_from([b"u8", b"i16", b"u63", b"i65"]),
    "bit": st.sampled_from([b"0", b"1"]),
    **dict.fromkeys(("member", "member1", "member2", "field", "element", "pivot"), ITEMS),
    **dict.fromkeys(("min", "max"), ENDS),
    **dict.fromkeys(("ID", "id", "last-id", "lastid", "max-deleted-id", "threshold"), IDS),
    **dict.fromkeys(("index", "rank"), SMALL),
    **dict.fromkeys(("count", "limit"), COUNTS),
    **dict.fromkeys(("start", "stop"), RANKS),
    **dict.fromkeys(("seconds", "milliseconds"), st.sampled_from([b"0", b"-1", b"3000", *[b"100000"] * 6, b"x"])),
    "score": st.sampled_from([b"0", b"1", b"1", b"2", b"3", b"-1.5", b"7", b"inf", b"-inf", b"3e10", b"0.25", b"nan"]),
    "group": st.sampled_from([b"g", b"h"]),
    "consumer": st.sampled_from([b"v", b"w"]),
    "longitude": st.sampled_from(
        [b"13.361389", b"13.361389", b"15.087269", b"15.087269", b"13.5", b"14", b"14.2", b"-179", b"180", b"181"]
    ),
    "latitude": st.sampled_from(
        [b"38.115556", b"38.115556", b"37.502669", b"37.502669", b"38", b"37.9", b"38.3", b"-85", b"0", b"86"]
    ),
    **dict.fromkeys(
        ("radius", "width", "height"), st.sampled_from([b"0", b"10", b"100", b"200", b"200", b"4e4", b"4e4", b"-1"])
    ),
    "subcommand": st.sampled_from([b"GETREG", b"DECODE", b"ENCODING", b"TODENSE", b"nonsense"]),
    "cursor": st.sampled_from([b"0", b"0", b"5", b"nonsense"]),
    **dict.fromkeys(("entries-read", "entriesread", "entries-added", "ttl", "min-idle-time"), SMALL),
}

Strategies = Mapping[str, st.SearchStrategy[bytes]]


def _one_time(arg: Arg, of_name: Strategies) -> st.SearchStrategy[list[bytes]]:
    if arg.type == "pure-token":
        return st.just([arg.token.encode()])
    if arg.type == "oneof":
        words = st.one_of([one(option, of_name) for option in arg.args])
    elif arg.type == "block":
        words = several(arg.args, of_name)
    else:
        words = of_name.get(arg.name, OF_TYPE[arg.type]).map(lambda word: [word])
    return words


def _behind(token: str, words: st.SearchStrategy[list[bytes]]) -> st.SearchStrategy[list[bytes]]:
    return words.map(lambda found: [token.encode(), *found])


def one(arg: Arg, of_name: Strategies = OF_NAME, number: int = 0) -> st.SearchStrategy[list[bytes]]:
    """What may stand for one argument, as the command table describes it; `number` times, if that is given."""
    words = _one_time(arg, of_name)
    tokened = bool(arg.token) and arg.type != "pure-token"
    if tokened and arg.multiple_token:
        words = _behind(arg.token, words)
    if arg.multiple:
        times = st.lists(words, min_size=number or 1, max_size=number or 3)
        words = times.map(lambda found: sum(found, []))
    if tokened and not arg.multiple_token:
        words = _behind(arg.token, words)
    return st.one_of(st.just([]), st.just([]), words) if arg.optional else words


def _numbered(args: tuple[Arg, ...], of_name: Strategies) -> st.SearchStrategy[list[bytes]]:
    # As many as the first says, most of the time; and as many weights.
    def counted(drawn: tuple[int, int]) -> st.SearchStrategy[list[bytes]]:
        number, off = drawn
        first = args[1]
        listed = one(first, of_name, number) if first.multiple else one(first, of_name)
        rest = [one(arg, of_name, number if arg.name == "weight" else 0) for arg in args[2:]]
        return st.tuples(st.just([b"%d" % (number + off)]), listed, *rest).map(lambda found: sum(found, []))

    return st.tuples(st.integers(1, 3), st.sampled_from([0] * 9 + [1, -1])).flatmap(counted)


def _of_streams() -> st.SearchStrategy[list[bytes]]:
    # Keys, and as many IDs.
    news = st.one_of(IDS, st.sampled_from([b">", b"$"]))
    return st.lists(st.tuples(KEYS, news), min_size=1, max_size=2).map(
        lambda pairs: [*(key for key, _ in pairs), *(last for _, last in pairs)]
    )


def several(args: tuple[Arg, ...], of_name: Strategies = OF_NAME) -> st.SearchStrategy[list[bytes]]:
    """What may stand for arguments in a row."""
    if [arg.name for arg in args] == ["key", "ID"]:
        return _of_streams()
    parts: list[st.SearchStrategy[list[bytes]]] = []
    for place, arg in enumerate(args):
        if arg.name in ("numkeys", "numfields"):
            parts.append(_numbered(args[place:], of_name))
            break
        parts.append(one(arg, of_name))
    return st.tuples(*parts).map(lambda found: sum(found, []))


def _zrange(name: str) -> st.SearchStrategy[list[bytes]]:
    # By rank, score or name: what the ends mean, and which options there may be, depends on it.
    keys = st.lists(KEYS, min_size=2, max_size=2) if name == "zrangestore" else KEYS.map(lambda key: [key])
    limit = st.one_of(st.just([]), st.tuples(SMALL, COUNTS).map(lambda pair: [b"LIMIT", *pair]))
    reverse = st.sampled_from([[], [], [b"REV"]])
    scores = st.sampled_from([[], [b"WITHSCORES"]]) if name == "zrange" else st.just([])
    forms = [
        st.tuples(keys, RANKS, RANKS, reverse, scores),
        st.tuples(keys, SCORES, SCORES, st.just([b"BYSCORE"]), reverse, limit, scores),
        st.tuples(keys, LEX, LEX, st.just([b"BYLEX"]), reverse, limit),
    ]
    return st.one_of(forms).map(
        lambda parts: sum(([part] if isinstance(part, bytes) else part for part in parts), [])
    )


def words_of(name: str) -> st.SearchStrategy[list[bytes]]:
    """Arguments of one command, which mostly make sense."""
    if name in ("zrange", "zrangestore"):
        return st.one_of(_zrange(name), _zrange(name), _zrange(name), several(by_name[name].args))
    ends = LEX if "lex" in name else SCORES
    special = {"min": ends, "max": ends}
    if name == "setbit":
        special["value"] = OF_NAME["bit"]
    if by_name[name].group == "stream":
        special |= dict.fromkeys(("start", "end", "stop"), STREAM_ENDS)
    return several(by_name[name].args, {**OF_NAME, **special})


def call_of(name: str) -> st.SearchStrategy[Words]:
    """A call of one command with arguments that mostly make sense."""
    words = words_of(name)
    if by_name[name].group == "stream":
        words = words.map(lambda drawn: [AS_IDS.get(word, word) for word in drawn])
    return words.map(lambda drawn: (name, drawn))
