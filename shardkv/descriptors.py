"""File descriptors: what an acceptor needs beside its clients, and the limit on open files (RLIMIT_NOFILE).

Each connection takes one. The rest of an acceptor's are few and known: event descriptors, listening sockets, its OWN,
and SPARE ones for what comes and goes, above all the segments that large requests and replies travel in.
"""
from __future__ import annotations

import resource

OWN = 24   # streams, control socket, event loop
SPARE = 8  # open for a moment


def beside_clients(acceptors: int, workers: int, listeners: int) -> int:
    """Returns how many descriptors an acceptor needs beside those of its clients."""
    return OWN + SPARE + acceptors + workers + listeners


def raise_limit(needed: int) -> int:
    """Raises our limit on open files to `needed`, the hard one too where we may; returns what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return needed
    for new in (needed, hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (new, hard if _within(new, hard) else new))
        except (OSError, ValueError, OverflowError):
            continue
        return new
    return soft


def _within(limit: int, hard: int) -> bool:
    return hard == resource.RLIM_INFINITY or limit <= hard
