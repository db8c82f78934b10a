"""Children by fork: the supervisor has imported all that they run and has no threads, so one is there in milliseconds.

What a fork carries along that a child must not have
 1. Descriptors. A child closes all but its standard streams, its channel and those that it was given; its standard
    input is empty. What is left of the supervisor's objects is never destroyed, so none closes a number used anew.
 2. Signals. All are blocked from before the fork until the child has handlers of its own: a signal to a child never
    runs the supervisor's. Those that stop the supervisor are ignored: it decides when a child ends.
 3. The parent's life. The kernel kills a child when the supervisor dies (PR_SET_PDEATHSIG is not inherited: the child
    asks for it, and looks whether it was too late).
 4. Its place in the program. A child never returns into the supervisor's code: it leaves through os._exit.
 5. Random numbers. Python's are seeded anew by Python itself, other states by the program that has them.
"""
from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from typing import NoReturn

import shardkv
from shardkv.control import Channel, Message
from shardkv.log import Log
from shardkv.supervisor.child import block_signals, give_back_code, part_from, restore_signals

# By kind: the module whose `main(assignment, channel)` runs the child and returns its exit status. Named, not imported:
# the supervisor knows of them no more than that.
PROGRAMS = {"acceptor": "shardkv.acceptor.process", "worker": "workers.process"}
ROLES = {"acceptor": "A", "worker": "W"}
EXIT_CRASH = 70  # an exception that nothing caught

_mains: dict[str, Callable[[Message, Channel], int]] = {}


def load_programs() -> None:
    """Imports what children run. From here on the pages of all that is imported are shared by all processes."""
    gc.disable()  # all of it stays
    _find_beside_us("workers")
    for kind, name in PROGRAMS.items():
        _mains[kind] = importlib.import_module(name).main
    gc.freeze()  # a child's collector does not look at it, and so does not write to it
    gc.enable()
    give_back_code()


def _find_beside_us(package: str) -> None:
    # A folder of that name where the user stands must not be taken for it.
    spec = PathFinder.find_spec(package, [os.path.dirname(os.path.dirname(os.path.abspath(shardkv.__file__)))])
    if package not in sys.modules and spec and spec.loader:
        module = sys.modules[package] = module_from_spec(spec)
        spec.loader.exec_module(module)


def fork(assignment: Message, descriptors: Iterable[int]) -> tuple[int, Channel]:
    """Starts the child of `assignment` with `descriptors`; returns its process id and our end of its channel.

    It has a process group of its own, so that Ctrl-C at a terminal reaches the supervisor alone. Raises OSError.
    """
    supervisor = os.getpid()
    ours, theirs = Channel.pair()
    block_signals()
    try:
        pid = os.fork()
        if not pid:
            _run(assignment, Channel(theirs), [theirs.fileno(), *descriptors], supervisor)
    except OSError:
        ours.close()
        raise
    finally:
        restore_signals()
        theirs.close()
    return pid, ours


def _run(assignment: Message, channel: Channel, keep: list[int], supervisor: int) -> NoReturn:
    status = EXIT_CRASH
    try:
        signal.set_wakeup_fd(-1)
        part_from(supervisor, keep)
        restore_signals()
        status = _mains[assignment["kind"]](assignment, channel)
    except BaseException:
        settings = assignment["settings"]
        log = Log(ROLES[assignment["kind"]], settings.get("loglevel", "notice"), settings.get("logfile", ""))
        log.warning("an error that nothing expected ends this process")
        for line in traceback.format_exc().splitlines():
            log.warning(line)
    finally:
        os._exit(status)
