"""Secrets for what is hashed in the tests' own process, and keys that collide under a known one."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from shardkv.hashing import current_secret, set_secret

# XXH3's own, which the xxhash package hashes with.
PUBLIC_SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221"
    "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb"
    "170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)


@contextmanager
def hashing_with(secret: bytes) -> Iterator[None]:
    """Lets this process hash with another secret for a while."""
    before = current_secret()
    set_secret(secret)
    try:
        yield
    finally:
        set_secret(before)


def colliding_keys(count: int) -> list[bytes]:
    """Keys of one hash under the public secret: its first word times whatever follows is 0."""
    return [PUBLIC_SECRET[:8] + b"%08d" % number + b"the same 16 byte" for number in range(count)]
