"""The hash: XXH3, under a secret; hash tags; shards."""
from __future__ import annotations

import os
import struct
import subprocess
import sys

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from shardkv import _testing
from shardkv.hashing import SECRET_BYTES, current_secret, key_shard, set_secret
from tests.harness import environment
from tests.hashing import PUBLIC_SECRET, colliding_keys, hashing_with

LENGTHS = (*range(520), *range(1020, 1110), 2047, 2048, 2049, 5000)  # each way of reading, each remainder of a stripe


def key_of(length: int, step: int = 7) -> bytes:
    return bytes((index * step + length) & 255 for index in range(length))


def test_hash_equals_the_package_at_every_length() -> None:
    with hashing_with(PUBLIC_SECRET):
        for length in LENGTHS:
            for key in (key_of(length), key_of(length, 1), key_of(length, 251)):
                assert _testing.key_hash(key) == xxhash.xxh3_64_intdigest(key), length


@given(st.binary(max_size=3000))
def test_hash_equals_the_package(key: bytes) -> None:
    with hashing_with(PUBLIC_SECRET):
        assert _testing.key_hash(key) == xxhash.xxh3_64_intdigest(key)


@given(st.integers(0, (1 << 64) - 1), st.one_of(st.binary(min_size=17, max_size=128), st.binary(min_size=241)))
def test_a_secret_made_from_a_seed_hashes_as_the_package_does_with_the_seed(seed: int, key: bytes) -> None:
    words = struct.unpack("<24Q", PUBLIC_SECRET)
    seeded = ((word + (-seed if index % 2 else seed)) % (1 << 64) for index, word in enumerate(words))
    with hashing_with(struct.pack("<24Q", *seeded)):
        assert _testing.key_hash(key) == xxhash.xxh3_64_intdigest(key, seed)


@pytest.mark.parametrize("length", [0, 1, 3, 4, 8, 9, 16, 17, 32, 64, 128, 129, 240, 241, 1024, 1025])
def test_the_secret_decides_the_hash_at_every_length(length: int) -> None:
    found = set()
    for _ in range(100):
        with hashing_with(os.urandom(SECRET_BYTES)):
            found.add(_testing.key_hash(key_of(length)))
    assert len(found) == 100


def test_keys_made_to_collide_under_the_public_secret_do_not_under_ours() -> None:
    keys = colliding_keys(1000)
    with hashing_with(PUBLIC_SECRET):
        assert len({_testing.key_hash(key) for key in keys}) == 1
    assert len({_testing.key_hash(key) for key in keys}) == 1000


def test_a_process_that_was_given_no_secret_has_one_of_its_own() -> None:
    show = "from shardkv.hashing import current_secret; print(current_secret().hex())"
    runs = [subprocess.check_output([sys.executable, "-c", show], env=environment(), text=True) for _ in range(2)]
    assert len({*runs, PUBLIC_SECRET.hex(), bytes(SECRET_BYTES).hex()}) == 4


@pytest.mark.parametrize("length", [0, 8, SECRET_BYTES - 1, SECRET_BYTES + 1])
def test_a_secret_of_another_length_is_refused(length: int) -> None:
    before = current_secret()
    with pytest.raises(ValueError, match=f"a secret of {length} bytes"):
        set_secret(bytes(length))
    assert current_secret() == before


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
    assert _testing.routing_hash(key) == _testing.key_hash(tag)


@given(st.binary(), st.binary(min_size=1).filter(lambda tag: b"}" not in tag), st.integers(1, 64))
def test_keys_of_one_tag_share_a_shard(rest: bytes, tag: bytes, shards: int) -> None:
    tagged = b"{" + tag + b"}"
    assert key_shard(tagged + rest, shards) == key_shard(tagged if b"{" in tag else tag, shards)


def test_shards_are_filled_evenly() -> None:
    counts = [0] * 7
    for index in range(14000):
        counts[key_shard(b"key:%d" % index, 7)] += 1
    assert min(counts) > 1800 and max(counts) < 2200
