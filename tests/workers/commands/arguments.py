"""Calls of any command of the table, with arguments as it describes them: mostly sensible, now and then nonsense.

A call is drawn from a `random.Random`, so a seed stands for it: that is far cheaper than to let Hypothesis choose each
word. Hypothesis chooses the seed (`SEEDS`, `call_of`).
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from hypothesis import strategies as st

from shardkv.commands.spec import Arg
from shardkv.commands.table import by_name

Words = tuple[str, list[bytes]]  # a command's name, and its arguments
Pool = tuple[Sequence[bytes], Sequence[bytes]]  # words to choose from, and wrong ones

KEYS = [b"a", b"a", b"a", b"a", b"b", b"b", b"c", b"", b"k" * 1500]
INTEGERS = ([b"0", b"1", b"2", b"2", b"7", b"7", b"-1", b"40", b"40", b"3000"], [b"9223372036854775807", b"nonsense"])
VALUES = [b"", b"1", b"-7", b"3.5", b"short", b"x" * 45, b"x" * 300, b"y" * 2040, b"y" * 2100, b"z" * 40_000, b"9" * 18]
ITEMS: Pool = ([b"a", b"b", b"c", b"d", b"1", b"2", b"-3", b"70000", b"1.5", b"", b"x" * 70], [])
RANKS: Pool = ([b"0", b"0", b"1", b"2", b"-1", b"-1", b"-2", b"-100", b"500"], [b"nonsense"])
SCORES: Pool = ([b"0", b"1", b"(1", b"2.5", b"-inf", b"-inf", b"+inf", b"+inf", b"-1", b"3"], [b"nonsense"])
LEX: Pool = ([b"[a", b"(c", b"-", b"-", b"+", b"+", b"[b", b"("], [b"nonsense"])
STREAM_ENDS: Pool = ([b"-", b"-", b"-", b"+", b"+", b"+", b"1-1", b"(1-1", b"2-1", b"5-0", b"0"], [b"nonsense"])
IDS: Pool = ([b"0", b"1-1", b"2", b"2-1", b"5-0", b"7-1", b"0-0"], [b"nonsense"])
NEWS: Pool = ([*IDS[0], b">", b">", b">", b">", b"$"], [b"nonsense"])
SMALL: Pool = ([b"0", b"1", b"1", b"1", b"2", b"2", b"3", b"3"], [b"-1", b"-2", b"nonsense"])
COUNTS: Pool = ([b"1", b"1", b"2", b"2", b"3", b"10", b"500"], [b"-2", b"0"])
OF_TYPE: dict[str, Pool] = {
    "string": (VALUES, []),
    "integer": INTEGERS,
    "double": ([b"1.5", b"-3e2", b"0", b"2", b"0.25", b"-1"], [b"x"]),
    "unix-time": ([b"4999", b"5001", b"5000001", b"9999999", *[b"99999999999"] * 5], [b"1"]),
    "pattern": ([b"*", b"a*", b"[ab]"], []),
}
# What DUMP answers for values of each type: short ones, and ones that are too long to be packed.
DUMPS: dict[str, list[bytes]] = {
    kind: [bytes.fromhex(dump) for dump in dumps]
    for kind, dumps in {
        "string": ["000576616c75650a0081f6c138c1aa9b6e"],
        "list": ["1201020f0f00000003008161020101816202ff0a009043a34ceb8e1b1c"],
        "set": [
            "0b0e02000000030000000100020003000a00a5025ce26d6e4d1b",
            "0202c30540640061e05a00c0010a003611c8abd5222d9c",
        ],
        "hash": [
            "10121200000004008161020101816202817802ff0a0078074c6bd9d7051f",
            "04010166c30540640076e05a000a006121615160ccf603",
        ],
        "sorted-set": [
            "1114140000000400816102010181620283322e3504ff0a00d44c6ea4f644d9d7",
            "0501c30540640061e05a00000000000000f03f0a00a51c38a052f368fb",
        ],
        "stream": [
            "13011000000000000000010000000000000001c34042404707470000001d0003014000078161020001020100200103010104"
            "014014400f000420134015000320090000200313dfff0202018162028178028163028179020801ff03050001010201040101"
            "670201020200000000000000010000000000000001a1fefe04a20100000100000000000000020000000000000001a1fefe04"
            "a201000001010176a1fefe04a20100000200000000000000010000000000000001000000000000000200000000000000010a"
            "00cba0a788396fa059",
        ],
    }.items()
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
OF_NAME: dict[str, Pool] = {
    "serialized-value": (sum(DUMPS.values(), []), [b"nonsense"]),
    "encoding": ([b"u8", b"i16", b"u63"], [b"i65"]),
    "bit": ([b"0", b"1"], []),
    **dict.fromkeys(("member", "member1", "member2", "field", "element", "pivot"), ITEMS),
    **dict.fromkeys(("ID", "lastid", "max-deleted-id"), IDS),
    "last-id": ([b"5-0", b"7-1", b"99999-0", b"99999-1"], [*IDS[0], b"nonsense"]),
    "id": ([b"5-1", b"6-0", b"7", b"7-1", b"9-*"], [*IDS[0], b"nonsense"]),
    **dict.fromkeys(("index", "rank"), SMALL),
    **dict.fromkeys(("count", "limit"), COUNTS),
    **dict.fromkeys(("start", "stop"), RANKS),
    **dict.fromkeys(("seconds", "milliseconds"), ([b"3000", *[b"100000"] * 6], [b"0", b"-1", b"x"])),
    "score": ([b"0", b"1", b"1", b"2", b"3", b"-1.5", b"7", b"inf", b"-inf", b"3e10", b"0.25"], [b"nan"]),
    "group": ([b"g", b"g", b"h"], []),
    "consumer": ([b"v", b"w"], []),
    "longitude": ([b"13.361389", b"13.361389", b"15.087269", b"15.087269", b"13.5", b"14", b"14.2", b"-179"], [b"181"]),
    "latitude": ([b"38.115556", b"38.115556", b"37.502669", b"37.502669", b"38", b"37.9", b"38.3", b"-85"], [b"86"]),
    **dict.fromkeys(("radius", "width", "height"), ([b"0", b"10", b"100", b"200", b"200", b"4e4", b"4e4"], [b"-1"])),
    "entries-added": ([b"3000", b"5000"], SMALL[0]),
    "subcommand": ([b"GETREG", b"DECODE", b"ENCODING", b"TODENSE"], [b"nonsense"]),
    "cursor": ([b"0", b"0", b"5"], [b"nonsense"]),
    **dict.fromkeys(("entries-read", "entriesread", "ttl", "min-idle-time"), SMALL),
}
FORMS = {"zrange": 1, "zrangestore": 2}  # ranges by rank, score or name, of so many keys
LIKELY = 1 / 3  # that an optional argument is there


class Drawing:
    """Draws calls. `wrong` is the share of words that are wrong on purpose."""

    def __init__(self, seed: bytes, pools: Mapping[str, Pool] = OF_NAME, wrong: float = 0.1) -> None:
        self.random = Random(seed)
        self.pools = pools
        self.wrong = wrong
        self.special: Mapping[str, Pool] = {}  # pools of the command that is being drawn

    def chance(self, share: float) -> bool:
        """True in that share of all cases."""
        return self.random.random() < share

    def pick(self, pool: Pool) -> bytes:
        """A word, or a wrong one."""
        right, wrong = pool
        return self.random.choice(wrong if wrong and self.chance(self.wrong) else right)

    def key(self) -> bytes:
        """A key."""
        return self.random.choice(KEYS)

    def item(self) -> bytes:
        """A member, field or element."""
        return self.pick(ITEMS)

    def times(self) -> int:
        """How often an argument stands that may be there many times."""
        return self.random.randint(1, 3)

    def pools_of(self, name: str) -> dict[str, Pool]:
        """Words that mean something else to this command than to others."""
        special = dict.fromkeys(("min", "max"), LEX if "lex" in name else SCORES)
        if name == "setbit":
            special["value"] = OF_NAME["bit"]
        if by_name[name].group == "stream":
            special |= dict.fromkeys(("start", "end", "stop"), STREAM_ENDS)
        return special

    def call(self, name: str) -> Words:
        """A call of one command with arguments that mostly make sense."""
        self.special = self.pools_of(name)
        if name in FORMS and not self.chance(self.wrong):
            return name, self._range(FORMS[name])
        return name, self.several(by_name[name].args)

    def several(self, args: Sequence[Arg]) -> list[bytes]:
        """What may stand for arguments in a row."""
        if [arg.name for arg in args] == ["key", "ID"] and args[0].multiple:  # as many of either
            number = self.random.randint(1, 2)
            return [*(self.key() for _ in range(number)), *(self.pick(NEWS) for _ in range(number))]
        words: list[bytes] = []
        for place, arg in enumerate(args):
            if arg.name in ("numkeys", "numfields"):
                return words + self._numbered(args[place + 1 :])
            words += self.one(arg)
        return words

    def one(self, arg: Arg, number: int = 0) -> list[bytes]:
        """What may stand for one argument, as the command table describes it; `number` times, if that is given."""
        if arg.optional and not self.chance(LIKELY):
            return []
        if arg.type == "pure-token":
            return [arg.token.encode()]
        words: list[bytes] = []
        for time in range(number or self.times() if arg.multiple else 1):
            if arg.token and (arg.multiple_token or time == 0):
                words.append(arg.token.encode())
            words += self._one_time(arg)
        return words

    def _one_time(self, arg: Arg) -> list[bytes]:
        if arg.type == "oneof":
            return self.one(self.random.choice(arg.args))
        if arg.name == "trim":
            return self._trim()
        if arg.type == "block":
            return self.several(arg.args)
        if arg.type == "key":
            return [self.key()]
        pool = self.special.get(arg.name) or self.pools.get(arg.name) or OF_TYPE[arg.type]
        return [self.item() if pool is ITEMS else self.pick(pool)]

    def _numbered(self, args: Sequence[Arg]) -> list[bytes]:
        # As many as the first says, most of the time; and as many weights.
        number = self.random.randint(1, 3)
        words = [b"%d" % (number + (self.random.choice([1, -1]) if self.chance(self.wrong) else 0))]
        for arg in args:
            words += self.one(arg, number if arg.multiple else 0)
        return words

    def _trim(self) -> list[bytes]:
        form = self.random.choice([b"MAXLEN", b"MINID"])
        about = self.random.choice([[], [b"="], [b"~"]])
        limit = [b"LIMIT", self.pick(COUNTS)] if about == [b"~"] and self.chance(LIKELY) else []
        return [form, *about, self.pick(SMALL if form == b"MAXLEN" else self.special.get("ID", IDS)), *limit]

    def forms(self) -> Sequence[tuple[Pool, list[bytes]]]:
        """Ends and form of a range that make sense."""
        return [(RANKS, []), (SCORES, [b"BYSCORE"]), (LEX, [b"BYLEX"])]

    def _range(self, keys: int) -> list[bytes]:
        # What the ends mean, and which options there may be, depends on the form.
        ends, form = self.random.choice(self.forms())
        words = [*(self.key() for _ in range(keys)), self.pick(ends), self.pick(ends), *form]
        if self.chance(LIKELY):
            words.append(b"REV")
        if form and self.chance(LIKELY):
            words += [b"LIMIT", self.pick(SMALL), self.pick(COUNTS)]
        if keys == 1 and form != [b"BYLEX"] and self.chance(LIKELY):
            words.append(b"WITHSCORES")
        return words


SEEDS = st.binary(min_size=8, max_size=8)


def call_of(name: str) -> st.SearchStrategy[Words]:
    """Calls of one command with arguments that mostly make sense."""
    return SEEDS.map(lambda seed: Drawing(seed).call(name))
