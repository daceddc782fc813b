"""A report killed at any moment: nothing runs on, and the next run ends as if nothing had been."""

from __future__ import annotations

import random
import shutil
import signal
import sys
import time

import pytest
from runs import Place, Undisturbed, contents, fill, listing

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(sys.platform != "linux", reason="the processes of a run are found as Linux shows them"),
]

MOMENTS = [("nothing", seed) for seed in range(5)]
MOMENTS += [("numbers", seed) for seed in range(5, 14)]
MOMENTS += [("everything", seed) for seed in range(14, 20)]


@pytest.mark.parametrize(("state", "seed"), MOMENTS)
def test_a_report_killed_at_any_moment_is_made_whole_by_the_next_run(
    state: str, seed: int, place: Place, undisturbed: Undisturbed
) -> None:
    moment = random.Random(seed).uniform(0, undisturbed.seconds[state])
    while not killed(place, undisturbed, state, moment):
        moment *= 0.8  # it had ended before, since nothing else kept the machine busy
    until = time.monotonic() + 20
    while place.processes() and time.monotonic() < until:
        time.sleep(0.05)
    assert place.processes() == []
    left = {n: data for n, data in contents(place.out).items() if ".apap-" not in n}
    assert {n for n, data in left.items() if data != undisturbed.files[n]} == set(), "only whole files"
    place.run()
    found = contents(place.out)
    assert set(found) == set(undisturbed.files)
    assert {n for n, data in found.items() if data != undisturbed.files[n]} == set()
    assert place.passing() == []
    assert set(listing(place.root / "home")) <= set(undisturbed.home)
    assert [p for p in listing(place.cache) if "thread" in p] == []


def killed(place: Place, undisturbed: Undisturbed, state: str, moment: float) -> bool:
    """Start a run and end its first process alone, in a way it cannot answer; whether it was still running."""
    for folder in (place.out, place.cache):
        shutil.rmtree(folder, ignore_errors=True)
    fill(place, undisturbed.caches, state)
    run = place.start()
    time.sleep(moment)
    run.kill()
    run.communicate(timeout=60)
    return run.returncode == -signal.SIGKILL
