"""Command handlers. MODULES is the one list of modules that register handlers when imported."""

MODULES: tuple[str, ...] = ()
