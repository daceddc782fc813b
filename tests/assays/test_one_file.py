"""One file without a study through `apap read`: FCS files, exports of gates and uptake tables told by content."""

from __future__ import annotations

import io
from pathlib import Path

import flowio
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from helpers.assays.cytokines.alone import plate_wells
from helpers.assays.one_file import CHANNEL_COLUMNS, FORMATS, read_one_file
from helpers.cli import app
from helpers.core.problems import Refused
from helpers.readers.fcs import read_fcs


def fcs_file(path: Path, events: np.ndarray, names: list[str], markers: list[str]) -> Path:
    out = io.BytesIO()
    flowio.create_fcs(out, events.ravel().tolist(), names, markers)
    path.write_bytes(out.getvalue())
    return path


def test_an_fcs_file_becomes_a_row_a_channel(tmp_path: Path) -> None:
    events = np.column_stack([np.arange(1000.0), np.linspace(-500, 499, 1000), np.full(1000, 262144.0)])
    path = fcs_file(tmp_path / "plate.csv", events, ["FSC-A", "PE-A", "APC-A"], ["", "CD206", "CD169"])
    table, _ = read_one_file(path)
    assert table.columns.tolist() == list(CHANNEL_COLUMNS)
    assert table[["channel", "marker"]].to_numpy().tolist() == [["FSC-A", ""], ["PE-A", "CD206"], ["APC-A", "CD169"]]
    assert table["n_events"].tolist() == [1000] * 3
    pe = table.set_index("channel").loc["PE-A"]
    assert (pe["min"], pe["max"], pe["pct_negative"]) == (-500, 499, 50)
    assert [pe[q] for q in ("q01", "q25", "median", "q75", "q99")] == pytest.approx(
        list(np.quantile(events[:, 1], [0.01, 0.25, 0.5, 0.75, 0.99])), rel=1e-6
    )
    assert table["pct_at_top"].tolist() == [0, 0, 100]


@pytest.mark.parametrize(
    "file", ["cytoexplorer_activation/Activation_7.fcs", "flowcal/sample001.fcs", "flowkit/100715.fcs"]
)
def test_real_fcs_files_keep_voltages_gains_and_ranges(reference_data: Path, file: str) -> None:
    path = reference_data / "flow" / file
    table, problems = read_one_file(path)
    fcs = read_fcs(path, path.name)
    assert table["channel"].tolist() == list(fcs.names) and tuple(problems) == fcs.problems
    for one, channel, values in zip(table.itertuples(), fcs.channels, fcs.events.T, strict=True):
        assert one.median == pytest.approx(np.median(values)) and one.n_events == len(values)
        assert one.voltage == channel.voltage or (pd.isna(one.voltage) and channel.voltage is None)
        assert (one.gain, one.range, one.decades) == (channel.gain, channel.range, channel.decades)
        assert 0 <= one.pct_at_top <= 100 or channel.name.casefold() == "time"
    inside = set() if fcs.spillover is None else set(fcs.spillover.channels)
    assert set(table.loc[table["in_spillover"], "channel"]) == inside


def test_events_at_the_end_of_a_logarithmic_scale_are_counted(reference_data: Path) -> None:
    path = reference_data / "flow" / "flowcal" / "sample001.fcs"
    table, _ = read_one_file(path)
    logarithmic = table[table["decades"] > 0]
    assert len(logarithmic)
    events = read_fcs(path, path.name)
    for one in logarithmic.itertuples():
        values = events.events[:, one.number - 1]
        stored = np.rint(np.log10(values) / one.decades * one.range)
        assert one.pct_at_top == pytest.approx(100 * np.mean(stored >= one.range - 1))


def test_a_real_flowjo_export_is_told_from_a_plate(reference_data: Path) -> None:
    table, problems = read_one_file(reference_data / "phagocytosis" / "opsonophagocytosis_flowjo" / "flowjo_export.csv")
    assert table.columns.tolist() == ["row", "sample", "gate", "statistic", "channel", "value", "unit"]
    assert table["sample"].nunique() <= 60 and len(table) == 60 * 9
    first = table.iloc[1]
    assert (first["gate"], first["statistic"], first["value"], first["unit"]) == (
        "l_d/singles_f'/singles_s/leu/sal+", "pct_parent", 12.4, "%",
    )  # fmt: skip
    assert any(p.code == "recycled-numbers" for p in problems)


@pytest.mark.parametrize(
    ("text", "gates"),
    [
        ("Tube Name,AM #Events,AM %Parent,AM FITC-A Mean\nT1,900,40,512\n", {"AM"}),
        ("Sample,Gate AM - # of Events,Gate AM - % of gated cells\nT1,900,40\n", {"Gate AM"}),
    ],
    ids=["FACSDiva", "FCS Express"],
)
def test_exports_of_other_programs(tmp_path: Path, text: str, gates: set[str]) -> None:
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    table, _ = read_one_file(tmp_path / "t.csv")
    assert set(table["gate"]) == gates and table["value"].iloc[0] == 900


def test_uptake_tables_are_read_by_their_kind(reference_data: Path, tmp_path: Path) -> None:
    cells, _ = read_one_file(reference_data / "phagocytosis" / "glioma_beads" / "sample_data.txt")
    assert "particles" in cells and len(cells) > 100
    (tmp_path / "s.csv").write_text("Time [min],C01\n0,10\n30,40\n", encoding="utf-8")
    series, _ = read_one_file(tmp_path / "s.csv")
    assert series[["sample", "minutes", "value"]].to_numpy().tolist() == [["C01", 0.0, 10.0], ["C01", 30.0, 40.0]]


@pytest.mark.parametrize(
    "file", ["xponent/drLumi_plate1.csv", "msd/msd_workbench_test_1.csv", "bioplex/RawAndSummary.xlsx"]
)
def test_plates_are_still_plates(reference_data: Path, file: str) -> None:
    path = reference_data / "luminex" / file
    pd.testing.assert_frame_equal(read_one_file(path)[0], plate_wells(path)[0])


def test_a_damaged_plate_is_not_taken_for_an_export(reference_data: Path) -> None:
    with pytest.raises(Refused) as refused:
        read_one_file(reference_data / "luminex" / "xponent" / "random_broken_colB.csv")
    assert refused.value.problems[0].code == "no-median"


def test_a_format_can_be_forced(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("well,sample,AM | Median (PE-A)\nA1,S1,500\n", encoding="utf-8")
    table, _ = read_one_file(path, "flow_table")
    assert table[["gate", "statistic", "value"]].to_numpy().tolist() == [["AM", "median", 500.0]]
    with pytest.raises(Refused) as refused:
        read_one_file(path, "fcs")
    assert refused.value.problems[0].code == "not-fcs"


def test_what_is_none_of_these_names_all_of_them(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\nx,y\n", encoding="utf-8")
    with pytest.raises(Refused) as refused:
        read_one_file(tmp_path / "t.csv")
    (problem,) = refused.value.problems
    assert problem.code == "unknown-format" and problem.file == "t.csv" and problem.fix.endswith(".")
    assert {"fcs", "flow_table", "uptake", "xponent"} <= set(FORMATS)


def test_a_name_in_an_export_is_masked(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(",AM | Count\nzhang@example.org.fcs,900\n", encoding="utf-8")
    assert "zhang" not in read_one_file(tmp_path / "t.csv")[0].to_csv()


def test_the_command_reads_any_of_them(tmp_path: Path) -> None:
    path = fcs_file(tmp_path / "a.fcs", np.ones((50, 2)), ["FSC-A", "PE-A"], ["", "CD206"])
    out = tmp_path / "out.csv"
    result = CliRunner().invoke(app, ["read", str(path), "--out", str(out)])
    assert result.exit_code == 0 and "2 rows written" in result.output
    assert pd.read_csv(out)["marker"].fillna("").tolist() == ["", "CD206"]
    path.write_bytes(path.read_bytes()[:200])
    result = CliRunner().invoke(app, ["read", str(path), "--out", str(out)])
    assert result.exit_code == 1 and "a.fcs" in result.output and "Traceback" not in result.output
