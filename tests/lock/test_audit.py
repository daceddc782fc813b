"""What `make audit` says: only packages that the service was asked about and knows count as sound."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest
from audit import NOT_ASKED, SOUND, WEAK, main, verdict

FINE = {"name": "numpy", "version": "2.4.0", "vulns": []}
WEAKNESS = {"id": "PYSEC-1", "fix_versions": ["2.1"], "aliases": []}
BAD = {"name": "jinja2", "version": "2.0", "vulns": [WEAKNESS]}
SKIPPED = {"name": "pandas", "skip_reason": "Dependency not found on PyPI and could not be audited: pandas (2.3.3)"}


@pytest.mark.parametrize(
    ("packages", "code", "words"),
    [
        ([FINE, FINE], SOUND, "No weakness is known of the 2 packages"),
        ([FINE, BAD], WEAK, "jinja2 2.0: PYSEC-1, mended in 2.1."),
        ([SKIPPED, SKIPPED], NOT_ASKED, "NOT audited: the advisory service knows none of the 2 packages"),
        ([FINE, SKIPPED], NOT_ASKED, "does not know them: 1 of 2 (pandas)."),
        ([BAD, SKIPPED], WEAK, "does not know them: 1 of 2 (pandas)."),
        ([], NOT_ASKED, "NOT audited"),
    ],
    ids=["all sound", "one weak", "a mirror without advisories", "one unknown", "one weak, one unknown", "no packages"],
)
def test_the_verdict_is_no_better_than_what_was_asked(packages: list[object], code: int, words: str) -> None:
    found, text = verdict({"dependencies": packages})
    assert found == code and words in text
    assert ("No weakness" in text) == (code == SOUND)


@pytest.mark.skipif(os.name != "posix", reason="a script stands for the tool")
def test_without_a_network_there_is_a_sentence_and_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tool = tmp_path / "pip-audit"
    tool.write_text(f"#!{sys.executable}\nraise ConnectionError('no route to the service')\n", encoding="utf-8")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    assert main(str(tool), "requirements.txt") == NOT_ASKED
    said = capsys.readouterr().out
    assert "cannot be reached" in said and said.endswith("ConnectionError: no route to the service\n")
    assert "Traceback" not in said
