"""Types of ring.pyx for modules that are not compiled."""

DEFAULT_CAPACITY: int
PAIR_BYTES: int

class RingError(Exception): ...

class RingPair:
    path: str
    @staticmethod
    def create(path: str, capacity: int = ...) -> RingPair: ...
    @staticmethod
    def open(path: str) -> RingPair: ...
