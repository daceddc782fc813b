"""The one object that everything asks for tables."""

from __future__ import annotations

from pathlib import Path

from helpers import analysis
from helpers.study.opening import folder_inputs, inputs_digest


def test_a_study_that_was_moved_is_read_where_it_is_now(small_study: Path) -> None:
    (small_study / "cytokines" / "raw").mkdir(parents=True)
    (small_study / "cytokines" / "raw" / "p.csv").write_text("not a plate at all\n", encoding="utf-8")
    (small_study / "cytokines" / "plates.csv").write_text("plate_id,instrument_file\nP1,p.csv\n", encoding="utf-8")
    digest = inputs_digest(folder_inputs(small_study))
    assert analysis._opened(digest, str(small_study)).folder == small_study
    moved = small_study.rename(small_study.with_name("moved"))
    data = analysis.load_study(moved)
    assert data.folder == moved
    assert ("plate", "P1") in data.study.quarantined, "the file was looked for, and found to be no plate"
    assert len(data.table("effects")), "the rest of the study goes on"
