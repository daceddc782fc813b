"""How a report came about: inputs with digests, parameters, versions, source, times."""

from __future__ import annotations

import datetime as dt
import platform
import re
import subprocess
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from helpers import __version__
from helpers.analysis import Analysis
from helpers.core import privacy
from helpers.core.cache import code_digest
from helpers.core.files import PROJECT
from helpers.core.numbers import SEED

DIRECT = re.compile(r"^[A-Za-z0-9._-]+")


def provenance(data: Analysis, parameters: Mapping[str, Any], started: dt.datetime) -> dict[str, Any]:
    """The record as plain data, for provenance.json.

    Parameters
    ----------
    data
        The opened study.
    parameters
        What the report was asked for.
    started
        When it began; the end is now.

    Returns
    -------
    Only the entry ``times`` differs between two reports of the same study by the same code.
    """
    return {
        "study": {
            "id": data.config.id,
            "title": data.config.title,
            "registry_id": data.config.registry_id,
            "simulated": data.config.simulated,
            "digest": data.digest,
        },
        "inputs": [
            {"file": privacy.alias(file), "sha256": digest} for file, digest in sorted(data.study.inputs.items())
        ],
        "parameters": dict(parameters),
        "seed": SEED,
        "project": {"version": __version__, "source_digest": code_digest("report"), **_git()},
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": versions(),
        "times": {
            "started": started.isoformat(timespec="seconds"),
            "ended": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        },
    }


def versions() -> dict[str, str]:
    """Versions of the project's direct dependencies that are installed."""
    needed = [m[0] for r in metadata.requires("apap-notebooks") or () if "extra ==" not in r and (m := DIRECT.match(r))]
    found = {}
    for name in sorted(needed, key=str.casefold):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _git() -> dict[str, Any]:
    """Commit of the checkout and whether it has changes; nothing where git or the repository is not there."""

    def ask(*words: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(PROJECT), *words], capture_output=True, text=True, timeout=10, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    commit = ask("rev-parse", "HEAD")
    return {
        "git_commit": commit,
        "git_changes": None if commit is None else bool(ask("status", "--porcelain", "--untracked-files=no")),
    }
