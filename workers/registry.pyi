from collections.abc import Callable

from workers.call import Call

class Handler:
    name: str
    @property
    def native(self) -> bool: ...

def command(name: str) -> Callable[[Callable[[Call], None]], Callable[[Call], None]]: ...
def load(modules: tuple[str, ...]) -> dict[str, Handler]: ...
