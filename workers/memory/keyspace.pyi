from workers.memory.arena import Arena

class Keyspace:
    arena: Arena
    databases: int
    expired: int
    lazy_expire: bool
    def __init__(self, arena: Arena, databases: int = 16) -> None: ...
