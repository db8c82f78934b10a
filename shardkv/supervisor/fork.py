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

import ctypes
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

# By kind: the module whose `main(assignment, channel)` runs the child and returns its exit status. Named, not imported:
# the supervisor knows of them no more than that.
PROGRAMS = {"acceptor": "shardkv.acceptor.process", "worker": "workers.process"}
ROLES = {"acceptor": "A", "worker": "W"}
EXIT_CRASH = 70  # an exception that nothing caught

_PR_SET_PDEATHSIG = 1
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_libc = ctypes.CDLL(None, use_errno=True)
_mains: dict[str, Callable[[Message, Channel], int]] = {}


def load_programs() -> None:
    """Imports what children run. From here on the pages of all that is imported are shared by all processes."""
    _find_beside_us("workers")
    for kind, name in PROGRAMS.items():
        _mains[kind] = importlib.import_module(name).main
    gc.freeze()  # a child's collector does not look at it, and so does not write to it


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
    unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if not pid:
            keep = {0, 1, 2, theirs.fileno(), *descriptors}
            _run(assignment, Channel(theirs), keep, supervisor, unblocked)
    except OSError:
        ours.close()
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        theirs.close()
    return pid, ours


def _run(
    assignment: Message, channel: Channel, keep: set[int], supervisor: int, unblocked: set[int | signal.Signals]
) -> NoReturn:
    status = EXIT_CRASH
    try:
        os.setpgid(0, 0)
        _set_signals(unblocked)
        _die_with(supervisor)
        _close_all_but(keep)
        status = _mains[assignment["kind"]](assignment, channel)
    except BaseException:
        settings = assignment["settings"]
        log = Log(ROLES[assignment["kind"]], settings.get("loglevel", "notice"), settings.get("logfile", ""))
        log.warning(f"an error that nothing expected ends this process:\n{traceback.format_exc()}")
    finally:
        os._exit(status)


def _set_signals(unblocked: set[int | signal.Signals]) -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)


def _die_with(supervisor: int) -> None:
    if _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    # A supervisor that died before sent no signal.
    if os.getppid() != supervisor:
        os._exit(0)


def _close_all_but(keep: set[int]) -> None:
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in keep:
            try:
                os.close(int(name))
            except OSError:
                pass  # the one that listed the others
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
