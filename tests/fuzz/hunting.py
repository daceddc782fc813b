"""One reader, seeds, changes and a budget of seconds → what is wrong with the reader, each with the smallest bytes that show it."""

from __future__ import annotations

import faulthandler
import re
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from mutations import Change, changes_for
from seeds import CANARIES

from helpers.core import privacy
from helpers.core.problems import Problem, Refused

MOST_SECONDS, MOST_MB = 5.0, 500
"""What a file of at most `LARGEST` bytes may cost."""
LARGEST = 2_000_000
_ADDRESSES = 6_000_000_000
_CHASED = 20.0
"""Seconds that hypothesis may take to make the changes behind a fault fewer."""
_HANGS = 120
"""Seconds after which not even a signal got through to the reader: the run ends and says where it hung."""

Seed = tuple[str, bytes]
"""A file's name, and its bytes."""
Read = Callable[[str, bytes], Iterable[Problem]]
"""Reads bytes as a file of this name; hands over what was said, or raises."""


@dataclass(frozen=True)
class Finding:
    """One thing a reader did wrong: a short key by which it is told from others, and the bytes that bring it about."""

    key: str
    file: str
    data: bytes
    words: str = ""


class _Shown(Exception):
    """Tells hypothesis that a file shows a fault."""


class _Overtime(BaseException):
    """No reader may catch this."""


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    def late(*_: object) -> None:
        raise _Overtime

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    faulthandler.dump_traceback_later(_HANGS, exit=True, file=sys.__stderr__)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        faulthandler.cancel_dump_traceback_later()


def bound_memory() -> None:
    """Makes an absurd request for memory fail instead of the machine."""
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESSES, resource.getrlimit(resource.RLIMIT_AS)[1]))


def fault(read: Read, file: str, data: bytes, seconds: float = MOST_SECONDS) -> Finding | None:
    """What a reader does wrong with these bytes, if anything."""
    peak, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        with _at_most(4 * seconds):
            problems, refused = list(read(file, data)), False
    except Refused as err:
        problems, refused = err.problems, True
        if any(p.code == "reader-failed" for p in problems):
            return Finding(_place(err.__cause__ or err), file, data, _trace(err.__cause__ or err))
    except _Overtime as err:
        return Finding("slow", file, data, _trace(err))
    except Exception as err:
        return Finding(_place(err), file, data, _trace(err))
    took = time.process_time() - started
    mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) / 1000
    if took > seconds:
        return Finding("slow", file, data, f"{took:.1f} s for {len(data)} bytes")
    if mb > MOST_MB:
        return Finding("memory", file, data, f"{mb:.0f} MB more for {len(data)} bytes")
    if refused and not any(p.severity == "error" for p in problems):
        return Finding("refused without an error", file, data, str(problems))
    found = next((why for p in _some(problems) if (why := _unfit(p, data))), None)
    return Finding(found[0], file, data, found[1]) if found else None


def _some(problems: Iterable[Problem]) -> list[Problem]:
    """The first few of each code: one damaged column may bring thousands of the same sentence."""
    few: dict[str, list[Problem]] = {}
    for p in problems:
        kept = few.setdefault(p.code, [])
        kept += [p] if len(kept) < 5 else []
    return [p for kept in few.values() for p in kept]


def _place(err: BaseException) -> str:
    """Kind of an error and the last line of ours that it came through."""
    ours = [f for f in traceback.extract_tb(err.__traceback__) if "helpers" in Path(f.filename).parts]
    last = f" in {Path(ours[-1].filename).name}, {ours[-1].name}: {ours[-1].line}" if ours else ""
    return f"{type(err).__name__}{last}"


def _trace(err: BaseException) -> str:
    return "".join(traceback.format_exception(err))[-4000:]


_SENTENCE = re.compile(r"(?:[A-Z\d“\"`]|study\.yaml ).*[.!?)]", re.S)


def _unfit(p: Problem, data: bytes) -> tuple[str, str] | None:
    """Why a problem is no sentence, or shows what may not be shown; and the problem."""
    if not _SENTENCE.fullmatch(p.message) or not _SENTENCE.fullmatch(p.fix):
        return f"no sentence: {p.code}", repr(p)
    if max(len(p.message), len(p.fix)) > 600 or len(str(p)) > 3000:
        return f"endless sentence: {p.code}", str(p)[:5000]
    for name in ("message", "fix", "found", "expected", "sheet", "column", "entity"):
        text = getattr(p, name)
        rules = {f.rule for f in privacy.findings(text)} | {
            "part of one" for c in CANARIES if _shows_part(c, text, data)
        }
        if rules:
            return f"identity in {name} of {p.code}: {', '.join(sorted(rules))}", repr(p)
    return None


def _shows_part(canary: str, text: str, data: bytes) -> bool:
    """Whether a text shows most of an identity that stands undamaged wherever it stands in the file."""
    most, whole = canary[:-2].encode(), canary.encode()
    clean = len(re.findall(rb"(?<![\w.+@%-])" + re.escape(whole) + rb"(?![\w.@%-])", data))
    return len(most) > 6 and canary[:-2] in text and 0 < clean == data.count(most)


def hunt(read: Read, seeds: list[Seed], seconds: float, seed: int) -> tuple[list[Finding], int]:
    """Change seeds and read them until the time is over; findings with their smallest bytes, and files tried.

    Seconds are of this process alone, so that a busy machine tries no fewer files.
    """
    for file, data in seeds:
        assert (wrong := fault(read, file, data)) is None, (
            f"a seed itself is not read well: {file}: {wrong and wrong.words}"
        )
    until, found, tried, turn = time.process_time() + seconds, dict[str, Finding](), 0, 0
    cases = st.sampled_from(seeds).flatmap(lambda seed: st.tuples(st.just(seed), changes_for(seed[1])))
    while time.process_time() < until:
        turn += 1
        new, n = _turn(read, cases, seed + turn, until, frozenset(found))
        found |= {one.key: one for one in new}
        tried += n
    return list(found.values()), tried


_QUIET = settings(
    max_examples=60,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
    phases=[Phase.generate, Phase.shrink],
    print_blob=False,
)


def _turn(
    read: Read, cases: st.SearchStrategy[tuple[Seed, list[Change]]], seed: int, until: float, known: frozenset[str]
) -> tuple[list[Finding], int]:
    """Some files, until one shows a fault that is not known; it is made smaller. Costly ones are kept as they are."""
    chased: list[Finding] = []
    costly: dict[str, Finding] = {}
    tried, seen = 0, 0.0

    @hypothesis.seed(seed)
    @_QUIET
    @given(cases)
    def attempt(case: tuple[Seed, list[Change]]) -> None:
        nonlocal tried, seen
        if time.process_time() > (seen + _CHASED if chased else until):
            return
        tried += 1
        (file, data), changes = case
        one = fault(read, file, changed(data, changes))
        if one is None or one.key in known or (chased and chased[0].key != one.key):
            return
        if one.key in ("slow", "memory"):
            costly.setdefault(one.key, one)
            return
        seen = seen if chased else time.process_time()
        chased.append(one)
        raise _Shown(one.key)

    try:
        attempt()
    except (_Shown, Flaky):
        best = min(chased, key=lambda one: len(one.data))
        return [*costly.values(), smaller(read, best)], tried
    return list(costly.values()), tried


def changed(data: bytes, changes: Iterable[Change]) -> bytes:
    """A file with all changes made to it, never larger than what a reader's cost is judged by."""
    for change in changes:
        data = change(data)[:LARGEST]
    return data


def smaller(read: Read, one: Finding, seconds: float = 5.0) -> Finding:
    """The same finding with whatever bytes can be left out left out, as far as the time allows."""
    until, size = time.process_time() + seconds, max(len(one.data) // 2, 1)
    while size and time.process_time() < until:
        i, before = 0, len(one.data)
        while i < len(one.data) and time.process_time() < until:
            less = fault(read, one.file, one.data[:i] + one.data[i + size :])
            if less is not None and less.key == one.key:
                one = less
            else:
                i += size
        size = size // 2 if len(one.data) == before else size
    return one
