"""Handlers by command name: see registry.pxd."""
import importlib
from collections.abc import Callable

_handlers: dict[str, Handler] = {}


cdef class Handler:
    cdef int run(self, Call call) except -1:
        if self.function != NULL:
            return self.function(call)
        self.callable(call)
        return 0

    @property
    def native(self) -> bool:
        """Whether the handler is compiled."""
        return self.function != NULL


cdef int add(Handler handler) except -1:
    if handler.name in _handlers:
        raise ValueError(f"two handlers for {handler.name}")
    _handlers[handler.name] = handler
    return 0


cdef int native(str name, native_handler function, int member=0) except -1:
    cdef Handler handler = Handler()
    handler.name = name
    handler.function = function
    handler.member = member
    return add(handler)


def command(name: str) -> Callable[[Callable[[Call], None]], Callable[[Call], None]]:
    """Registers a Python handler of the command `name`: lower case, `container|sub`, or `@name` for an internal one.

    Raises ValueError when there is one already.
    """
    def register(function: Callable[[Call], None]) -> Callable[[Call], None]:
        cdef Handler handler = Handler()
        handler.name = name
        handler.callable = function
        add(handler)
        return function
    return register


def load(modules: tuple[str, ...]) -> dict[str, Handler]:
    """Imports the modules that register handlers; returns all handlers by name."""
    for module in modules:
        importlib.import_module(module)
    return _handlers
