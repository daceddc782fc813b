"""One plate file without a study: real files through `apap read` and `apap curves`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from helpers.assays.cytokines.alone import plate_curves, plate_wells
from helpers.assays.cytokines.fitted import Rules
from helpers.cli import app
from helpers.core.problems import Refused
from helpers.core.schemas import output_tables


@pytest.fixture
def plates(reference_data: Path) -> Path:
    return reference_data / "luminex"


def test_a_real_plate_through_curves_is_close_to_the_vendors_numbers(plates: Path) -> None:
    tables, _ = plate_curves(plates / "bioplex" / "pnLINCO20070302A.xls", None, Rules(model="4pl"))
    curves, wells = tables["cytokine_curves"], tables["cytokine_wells"]
    assert len(curves) == 13 and (curves["vendor_diff_pct"] < 0.12).all()
    both = wells[(wells["role"] == "sample") & (wells["state"] == "measured") & (wells["vendor_state"] == "measured")]
    assert len(both) > 200 and both["vendor_diff_pct"].abs().median() < 0.2


def test_lost_decimal_points_are_named_and_left_out_of_the_curves(plates: Path) -> None:
    tables, problems = plate_curves(plates / "xponent" / "drLumi_plate1.csv", None, Rules())
    named = [p for p in problems if p.code == "standard-lost-decimal"]
    assert len(named) == 30 and all(p.expected.startswith("about ") for p in named)
    assert (tables["cytokine_curves"]["n_standards"] == 16).all()
    states = tables["cytokine_wells"]
    assert (states.loc[states["role"] == "standard", "state"] == "excluded").sum() == 30


@pytest.mark.parametrize(
    "file",
    [
        "xponent/IGG_CO_1_xponent.csv",
        "xponent/luminex_xPONENT_example02.csv",
        "intelliflex/luminex_intelliflex_v2_2.csv",
        "bioplex/RawAndSummary.xlsx",
        "bioplex/WithBlankBead.xls",
        "bioplex/bio-rad_bio-plex_manager_example_01.xml",
        "msd/msd_workbench_test_2.csv",
        "msd/methodical_test_1.txt",
    ],
)
def test_every_kind_of_file_is_read_and_fitted_or_says_why_not(plates: Path, file: str) -> None:
    wells, _ = plate_wells(plates / file)
    assert list(wells.columns) == output_tables()["cytokine_wells"].columns and len(wells)
    tables, _ = plate_curves(plates / file, None, Rules())
    curves = tables["cytokine_curves"]
    assert curves["status"].notna().all()
    usable = curves["lloq_pg_ml"].notna()
    assert (curves.loc[~usable, "status"] != "ok").all() or curves.loc[~usable, "note"].ne("").all()
    assert np.isfinite(curves.loc[usable, ["a", "d", "c", "b", "g"]].to_numpy(dtype=float)).all()


def test_the_commands_write_tables_and_refuse_with_a_sentence(plates: Path, tmp_path: Path) -> None:
    run = CliRunner().invoke
    done = run(app, ["curves", str(plates / "bioplex" / "WithBlankBead.xls"), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "cytokine_curves.csv",
        "cytokine_wells.csv",
        "standard_recovery.csv",
    }
    done = run(app, ["read", str(plates / "bioplex" / "WithBlankBead.xls"), "--out", str(tmp_path / "wells.csv")])
    assert done.exit_code == 0 and len(pd.read_csv(tmp_path / "wells.csv"))
    bad = tmp_path / "notes.txt"
    bad.write_text("nothing here\n", encoding="utf-8")
    for command in (
        ["read", str(bad), "--out", str(tmp_path / "x.csv")],
        ["curves", str(bad), "--out", str(tmp_path / "x")],
    ):
        done = run(app, command)
        assert done.exit_code == 1 and "notes.txt" in done.output and "Traceback" not in done.output
    assert not (tmp_path / "x.csv").exists()
    assert run(app, ["curves", str(bad), "--model", "6pl", "--out", str(tmp_path)]).exit_code == 2


def test_a_layout_outside_a_study_may_be_rows_or_a_grid(plates: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("well,role,level,sample_id\nA1,blank,,\nB1,sample,,X1\n", encoding="utf-8")
    grid = tmp_path / "grid.csv"
    grid.write_text(
        "P1," + ",".join(map(str, range(1, 13))) + "\nA,B" + "," * 11 + "\nB,X1" + "," * 11 + "\n", encoding="utf-8"
    )
    source = plates / "xponent" / "IGG_CO_1_xponent.csv"
    found = [plate_curves(source, layout, Rules())[0]["cytokine_wells"] for layout in (rows, grid)]
    pd.testing.assert_frame_equal(*found)
    used = found[0][found[0]["state"] != "excluded"]
    assert set(used["well"]) == {"A1", "B1"}
    bad = tmp_path / "bad.csv"
    bad.write_text("well,role\nA1,nonsense\n", encoding="utf-8")
    with pytest.raises(Refused):
        plate_curves(source, bad, Rules())
