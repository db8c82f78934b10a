"""`make soak`: all kinds of load on one server whose processes are killed and stopped at random; then every history is
checked.

No client may see an error, or wait for ever. A connection is lost only when its acceptor dies. The time is shared by
four phases: one acceptor and three, without and with delays at every store of the sleeping protocol.
"""
from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass, field

from tests.harness import Server, wait_until
from tests.soak.clients import Client, Connection
from tests.soak.loads import LOADS, Load, Queues, supported
from tests.soak.nemesis import Nemesis

SECONDS = 600.0
PAUSE = 0.25             # seconds between two strikes, on average
PHASES = ((1, False), (3, False), (1, True), (3, True))


@dataclass
class Report:
    """What a phase did and found."""

    told: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def soak(
    server: Server, seconds: float, seed: int, pause: float = PAUSE, kinds: tuple[type[Load], ...] = LOADS
) -> Report:
    """Puts the loads on a server that runs, for so long, and checks."""
    report = Report()
    control = Connection(server.port)
    loads = []
    for kind in kinds:
        load = kind()
        why = supported(load, control)
        if why:
            report.told.append(f"{load.name}: skipped ({why})")
        else:
            loads.append(load)
    clients = [
        (load, Client(f"{load.name} {number}", server.port, turn, seed * 1000 + number))
        for load in loads for number, turn in enumerate(load.turns())
    ]
    for load, client in clients:
        load.histories.append(client.history)
        client.start()
    nemesis = Nemesis(server, seed, pause)
    nemesis.start()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not any(client.failure for _, client in clients):
        time.sleep(0.05)
    nemesis.stop.set()
    nemesis.join()
    if nemesis.failure:
        report.wrong.append(f"nemesis: {nemesis.failure!r}")
    _end(clients, control, report)
    for load in loads:
        try:
            report.told.append(f"{load.name}: {load.check(control)}")
        except BaseException as failure:
            report.wrong.append(f"{load.name}: {failure!r}")
    losses = sum(client.connection.losses for _, client in clients)
    strikes = ", ".join(f"{count} {name}" for name, count in sorted(nemesis.strikes.items()))
    report.told.append(f"strikes: {strikes}; {losses} connections lost")
    if losses and not any("acceptor" in name for name in nemesis.strikes):
        report.wrong.append(f"{losses} connections were lost, though no acceptor died")
    control.close()
    return report


def _end(clients: list[tuple[Load, Client]], control: Connection, report: Report) -> None:
    """Producers first; when the queues are empty, everybody."""
    for load, client in clients:
        if isinstance(load, Queues):
            load.producing.clear()
        else:
            client.stop.set()
    for load in {id(load): load for load, _ in clients if isinstance(load, Queues)}.values():
        try:
            wait_until(lambda load=load: load.drained(control), "queues that are drained")  # type: ignore[misc]
        except BaseException as failure:
            report.wrong.append(f"{load.name}: {failure!r}")
    for _, client in clients:
        client.stop.set()
    for _, client in clients:
        client.join(60)
        if client.is_alive():
            report.wrong.append(f"client {client.name} waits for ever")
        if client.failure:
            report.wrong.append(f"client {client.name}, turn {client.turns}: {client.failure!r}")


def main() -> int:
    """Reads the command line; exit status 1 when something was wrong."""
    parser = argparse.ArgumentParser(prog="make soak", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of all phases together (%(default)s)")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--acceptors", type=int, help="only the phases with so many")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--pause", type=float, default=PAUSE, help="between two strikes, on average (%(default)s s)")
    parser.add_argument("--load", action="append", choices=[kind.__name__.lower() for kind in LOADS])
    options = parser.parse_args()
    kinds = tuple(kind for kind in LOADS if not options.load or kind.__name__.lower() in options.load)
    phases = [phase for phase in PHASES if options.acceptors in (None, phase[0])]
    wrong = 0
    for number, (acceptors, delays) in enumerate(phases):
        seed = options.seed + number
        print(f"{options.workers} workers, {acceptors} acceptors{', delays' * delays}, seed {seed}", flush=True)
        os.environ["SHARDKV_TEST_DELAYS"] = str(seed % 1000 + 1) if delays else "0"
        with Server("--workers", str(options.workers), "--acceptors", str(acceptors)) as server:
            report = soak(server, options.seconds / len(phases), seed, options.pause, kinds)
            for line in report.told:
                print(f"    {line}")
            for line in report.wrong:
                print(f"    WRONG: {line}")
            if report.wrong:
                print("\n".join(server.output().splitlines()[-40:]))
            wrong += len(report.wrong)
            sys.stdout.flush()
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
