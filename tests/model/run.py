"""`make model`: the models in larger bounds than the tests have time for; some minutes, and some gigabytes."""
from __future__ import annotations

import sys
import time
from dataclasses import replace

from tests.model.explorer import Broken, Model, explore
from tests.model.leases import Leases, Request
from tests.model.rings import Rings
from tests.model.test_leases import BATCH, BEFORE_ONE, BEHIND_ONE, BESIDE_ONE, CHAIN, CROSS, ONE, TWO, WIDE
from tests.model.waiters import Waiters

MODELS: dict[str, Model] = {
    "rings, two deaths": Rings(6, capacity=2, reply_capacity=2, deaths=2),
    "waiters, two deaths": Waiters(1, (2, 1), deaths=2, pops=1, time_outs=1),
    "waiters, two clients": Waiters(2, (1, 1), deaths=1),
    "one, two deaths": replace(ONE, deaths=2),
    "one, three deaths of workers": replace(ONE, deaths=3, acceptors_die=False),
    "two, a death": replace(TWO, deaths=1),
    "two, two deaths of workers": replace(TWO, deaths=2, acceptors_die=False),
    "behind another, two deaths": replace(BEHIND_ONE, deaths=2, acceptors_die=False),
    "behind another, a hang and a death": replace(BEHIND_ONE, hangs=1, deaths=1),
    "before another, a death": replace(BEFORE_ONE, deaths=1),
    "beside another, a death": replace(BESIDE_ONE, hangs=1, deaths=1),
    "chain, a death": replace(CHAIN, deaths=1),
    "cross, a death": replace(CROSS, deaths=1, acceptors_die=False),
    "wide, a death": replace(WIDE, deaths=1, acceptors_die=False),
    "batch, a death of a worker": replace(BATCH, deaths=1, acceptors_die=False),
    "three in a batch": Leases(3, (((Request(1, (0, 1)), Request(2, (1, 2)), Request(3, (2,))),),)),
}


def main() -> int:
    """Explores those that are named, or all; exit status 1 when one does not hold."""
    broken = 0
    for name in sys.argv[1:] or MODELS:
        begun = time.monotonic()
        try:
            space = explore(MODELS[name])
            told = f"{len(space.states):,} states, {len(space.sources):,} steps"
        except (Broken, RuntimeError) as error:
            broken, told = 1, f"does not hold: {error}"
        print(f"{name}: {told} ({time.monotonic() - begun:.0f} s)", flush=True)
    return broken


if __name__ == "__main__":
    sys.exit(main())
