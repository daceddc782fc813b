"""Asks an advisory service, through pip-audit, whether a package of the lock has a known weakness; `make audit` runs it.

pip-audit answers “nothing known” where the service knows none of the packages, and with a traceback where there is no
network. Here only what was asked and answered counts as sound: 0 nothing is known of any package, 1 something is,
4 the service could not be asked, or not about all of them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

SOUND, WEAK, NOT_ASKED = 0, 1, 4
_SHOWN = 5


def verdict(report: Mapping[str, Any] | None) -> tuple[int, str]:
    """Exit code and what to say; no report where pip-audit did not come to its end."""
    if report is None:
        return NOT_ASKED, (
            "The lock was NOT audited: the advisory service cannot be reached. "
            "Run make audit on a machine with access to the internet."
        )
    packages = report["dependencies"]
    weak = [p for p in packages if p.get("vulns")]
    asked = [p for p in packages if "skip_reason" not in p]
    skipped = [p["name"] for p in packages if "skip_reason" in p]
    lines = [
        f"{p['name']} {p['version']}: {v['id']}, mended in {', '.join(v['fix_versions']) or 'no version yet'}."
        for p in weak
        for v in p["vulns"]
    ]
    if not asked:
        lines.append(
            f"The lock was NOT audited: the advisory service knows none of the {len(packages)} packages, as a mirror "
            "without advisories does. Run make audit on a machine with access to the internet."
        )
    elif skipped:
        names = ", ".join(skipped[:_SHOWN]) + (", …" if len(skipped) > _SHOWN else "")
        lines.append(f"Not audited, since the service does not know them: {len(skipped)} of {len(packages)} ({names}).")
    if weak:
        lines.append("Raise the versions in pyproject.toml where they are named, then run make lock and make test.")
    elif asked and not skipped:
        lines.append(f"No weakness is known of the {len(packages)} packages that the lock gives this Python.")
    return WEAK if weak else NOT_ASKED if skipped or not asked else SOUND, "\n".join(lines)


def main(tool: str, lock: str) -> int:
    """Audit a lock with the pip-audit at `tool`; returns the exit code."""
    with TemporaryDirectory() as folder:
        out = Path(folder) / "audit.json"
        words = ["--require-hashes", "--disable-pip", "--requirement", lock, "--progress-spinner", "off"]
        done = subprocess.run(
            [tool, *words, "--format", "json", "--output", out], capture_output=True, text=True, check=False
        )
        report = json.loads(out.read_text(encoding="utf-8")) if out.exists() else None
    code, text = verdict(report)
    if report is None and done.stderr.strip():
        text += f"\npip-audit said: {done.stderr.strip().splitlines()[-1][:300]}"
    print(text)
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
