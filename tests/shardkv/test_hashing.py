import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from shardkv import _testing
from shardkv.hashing import key_shard


@pytest.mark.parametrize("length", range(1001))
def test_hash_equals_the_package_at_every_length(length: int) -> None:
    for step in (1, 7, 251):
        key = bytes((index * step + length) & 255 for index in range(length))
        assert _testing.key_hash(key) == xxhash.xxh3_64_intdigest(key)


@given(st.binary(max_size=1000))
def test_hash_equals_the_package(key: bytes) -> None:
    assert _testing.key_hash(key) == xxhash.xxh3_64_intdigest(key)


@pytest.mark.parametrize(
    ("key", "tag"),
    [
        (b"", b""),
        (b"plain", b"plain"),
        (b"{user}:1", b"user"),
        (b"a{user}b", b"user"),
        (b"{}:1", b"{}:1"),
        (b"{}{tag}", b"{}{tag}"),
        (b"{open", b"{open"),
        (b"close}", b"close}"),
        (b"}{tag}", b"tag"),
        (b"a{{tag}}b", b"{tag"),
        (b"a{one}{two}", b"one"),
        (b"{", b"{"),
        (b"x{", b"x{"),
        (b"{\0}", b"\0"),
        (b"a" * 300 + b"{" + b"t" * 300 + b"}", b"t" * 300),
    ],
)
def test_routing_hashes_the_tag(key: bytes, tag: bytes) -> None:
    assert _testing.routing_hash(key) == xxhash.xxh3_64_intdigest(tag)


@given(st.binary(), st.binary(min_size=1).filter(lambda tag: b"}" not in tag), st.integers(1, 64))
def test_keys_of_one_tag_share_a_shard(rest: bytes, tag: bytes, shards: int) -> None:
    tagged = b"{" + tag + b"}"
    assert key_shard(tagged + rest, shards) == key_shard(tagged if b"{" in tag else tag, shards)


def test_shards_are_filled_evenly() -> None:
    counts = [0] * 7
    for index in range(14000):
        counts[key_shard(b"key:%d" % index, 7)] += 1
    assert min(counts) > 1800 and max(counts) < 2200
