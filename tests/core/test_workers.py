"""Work that forked children take part in: the same answers, whoever gives them and whoever fails."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from helpers.core import forks, workers
from helpers.core.workers import apart, each

pytestmark = pytest.mark.skipif(not forks.FORKS, reason="nothing is forked here")


def nothing() -> None:
    """What the server of these tests imports."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A fork server that finds the functions of this module."""
    forks.stop()
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setattr(workers, "processors", lambda: 2)
    forks.begin("test_workers:nothing")
    until = time.monotonic() + 60
    while not forks.ready():
        assert time.monotonic() < until
        time.sleep(0.01)
    yield
    forks.stop()


def slowly(n: int) -> tuple[int, int]:
    time.sleep(0.01)
    return n, os.getpid()


def only_here(part: tuple[int, int]) -> int:
    n, here = part
    if os.getpid() != here:
        os._exit(7)
    return n


def refused(part: tuple[int, int]) -> int:
    n, bad = part
    if n == bad:
        raise ValueError(f"part {n}")
    return n


def test_children_and_this_process_share_the_work_and_keep_its_order(server: None) -> None:
    answers = each(slowly, range(60), 1)
    assert [n for n, _ in answers] == list(range(60))
    own = [n for n, pid in answers if pid == os.getpid()]
    assert own and len(own) < 60 and own == list(range(len(own))), "this process from the front, the child from the end"


def test_as_many_share_the_work_as_may_compute(server: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two, as in the other tests, would not show a child that stops where another one has begun."""
    monkeypatch.setattr(workers, "processors", lambda: 4)
    for way, children in ((partial(each, processes=1), 3), (apart, 4)):
        answers = way(slowly, range(200))
        assert [n for n, _ in answers] == list(range(200))
        assert len({pid for _, pid in answers} - {os.getpid()}) == children


def test_what_a_child_loses_is_done_here(server: None) -> None:
    assert each(only_here, [(n, os.getpid()) for n in range(30)], 1) == list(range(30))
    assert apart(only_here, [(n, os.getpid()) for n in range(5)]) == list(range(5))


@pytest.mark.parametrize("bad", [0, 15, 29])
def test_what_breaks_in_a_child_breaks_here(server: None, bad: int) -> None:
    with pytest.raises(ValueError, match=f"part {bad}"):
        each(refused, [(n, bad) for n in range(30)], 1)
    with pytest.raises(ValueError, match=f"part {bad}"):
        apart(refused, [(n, bad) for n in range(30)])


def test_apart_is_in_other_processes_that_share_the_work(server: None, capfd: pytest.CaptureFixture[str]) -> None:
    answers = apart(slowly, range(60))
    assert [n for n, _ in answers] == list(range(60))
    children = {pid for _, pid in answers}
    assert len(children) == 2 and os.getpid() not in children
    assert apart(os.path.abspath, ["here"]) == [os.path.abspath("here")]
    said = capfd.readouterr()
    assert said.out + said.err == ""


def test_a_child_has_todays_environment(server: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APAP_TEST_LATE", "set after the server started")
    assert apart(os.getenv, ["APAP_TEST_LATE"]) == ["set after the server started"]


def test_without_a_server_all_is_done_here() -> None:
    forks.stop()
    assert apart(slowly, [3, 4]) == [(3, os.getpid()), (4, os.getpid())]
    assert each(slowly, [1, 2], 1) == [(1, os.getpid()), (2, os.getpid())]
