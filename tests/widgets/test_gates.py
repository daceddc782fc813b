"""The gate explorer: its numbers are the pipeline's, it is blind until a gate is saved, and saving adds one row."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest

from helpers.analysis import Analysis
from helpers.assays.phenotype import moved
from helpers.assays.phenotype.assay import phenotype
from helpers.assays.phenotype.override import TABLE, checked_reason, save_override
from helpers.assays.phenotype.pictures import Axis
from helpers.core.problems import Refused
from helpers.readers.csv_rows import with_record
from helpers.simulate import write_demo
from helpers.study.opening import open_study
from helpers.widgets import gates

FILE = "B01C04_stained.fcs"
REASON = "Dim CD169 in this tube; the heap lies lower."


def analysed(folder: Path) -> Analysis:
    """A study with its flow cytometry alone."""
    study = open_study(folder)
    return Analysis(study, phenotype(study.folder, study.tables, study.quarantined, study.config).tables)


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small") / "study"
    write_demo(folder, donors=4)
    return folder


@pytest.fixture(scope="module")
def data(origin: Path) -> Analysis:
    return analysed(origin)


@pytest.fixture
def own(data: Analysis, tmp_path: Path) -> Analysis:
    """A copy that may be written to."""
    folder = Path(shutil.copytree(data.folder, tmp_path / "study"))
    return replace(data, study=replace(data.study, folder=folder))


@pytest.fixture(scope="module")
def tube(data: Analysis) -> moved.OpenTube:
    return gates.opened(data, FILE)


def populations(data: Analysis, file: str) -> pd.DataFrame:
    table = data.table("phenotype_populations")
    return table[table["fcs_file"] == file].reset_index(drop=True)


# ---- numbers


@pytest.mark.parametrize("population", ["Singlets", "Live", "CD45+", "AM"])
def test_at_the_stored_edge_the_shares_are_those_of_the_pipeline(
    data: Analysis, tube: moved.OpenTube, population: str
) -> None:
    edge = moved.edges_of(tube, population)[0]
    shown = gates.shares_at(tube, population, edge.place, edge.value)
    stored = populations(data, FILE)
    assert shown["population"].tolist() == stored["population"].tolist()
    for suffix in ("", "_stored"):
        for column in ("n_parent", "n_events", "pct_parent"):
            np.testing.assert_array_equal(shown[column + suffix], stored[column].astype("float64"))


def test_a_moved_edge_keeps_exactly_the_events_beyond_it(tube: moved.OpenTube) -> None:
    shown = gates.shares_at(tube, "AM", 0, 1500.0).set_index("population")
    column = tube.one.fcs.names.index("APC-A")
    parent = next(m for path, m in tube.one.gated.members.items() if path[-1] == "CD45+")
    kept = int((tube.one.compensated[parent, column] >= 1500.0).sum())
    path = next(p for p in shown.index if p.endswith("/AM"))
    assert shown.loc[path, "n_events"] == kept < shown.loc[path, "n_events_stored"]
    assert shown.loc[path, "pct_parent"] == pytest.approx(100 * kept / int(parent.sum()))


def test_polygons_are_not_offered(tube: moved.OpenTube) -> None:
    assert moved.movable(tube) == ["Singlets", "Live", "CD45+", "AM"]


def test_a_tube_without_the_marker_has_no_edge_for_it(data: Analysis) -> None:
    table = data.study_tables["phenotype/samples"]
    unstained = table.loc[table["tube_role"] == "unstained", "fcs_file"]
    assert len(unstained), "the demo has unstained tubes"
    assert moved.movable(gates.opened(data, str(unstained.iloc[0]))) == ["Singlets"]


@pytest.mark.parametrize("value", [math.nan, math.inf, 9.0])
def test_an_edge_that_cannot_be_is_refused_with_a_sentence(tube: moved.OpenTube, value: float) -> None:
    with pytest.raises(Refused, match="lower edge of a gate lies below its upper one"):
        moved.with_edge(tube, "Singlets", 0, value)


# ---- blindness


def test_labels_tell_nothing_and_their_order_neither(data: Analysis) -> None:
    found = gates.labels(data)
    names = data.study_tables["phenotype/samples"]["fcs_file"].tolist()
    assert sorted(found.values()) == sorted(names)
    assert all(re.fullmatch(r"Tube [b-z]{4,}, (stained|fmo|unstained|isotype)", label) for label in found)
    stained = [f for label, f in found.items() if label.endswith("stained") and "un" not in label]
    assert stained != sorted(stained)


def secrets(data: Analysis) -> list[str]:
    """Everything that would tell whose cells a tube holds."""
    donors = data.study_tables["donors"]["donor_id"].tolist()
    files = data.study_tables["phenotype/samples"]["fcs_file"].str.split("_").str[0].tolist()
    labels = [c.label for c in data.config.conditions] + [g.label for g in data.config.groups]
    return [*donors, *files, *labels]


def told(explorer: Any) -> str:
    """All text of the explorer: sentences, tables, alt texts, options, and the picture where no widget runs."""
    waiting, out = [explorer], [repr(explorer._repr_mimebundle_()[1])]
    while waiting:
        one = waiting.pop()
        waiting += getattr(one, "children", ())
        out += [str(getattr(one, a, "")) for a in ("value", "options", "description", "placeholder")]
    return re.sub(r"base64,[^\"]+", "", " ".join(out))


def tells(data: Analysis, text: str) -> list[str]:
    return [s for s in secrets(data) if re.search(rf"(?<![A-Za-z0-9]){re.escape(s)}(?![A-Za-z0-9])", text)]


def control(explorer: Any, description: str) -> Any:
    waiting = [explorer]
    while waiting:
        one = waiting.pop()
        if getattr(one, "description", None) == description:
            return one
        waiting += getattr(one, "children", ())
    raise AssertionError(f"no control {description}")


def label_of(data: Analysis, file: str) -> str:
    return next(label for label, f in gates.labels(data).items() if f == file)


def test_nothing_tells_whose_cells_these_are_until_the_gate_is_saved(own: Analysis) -> None:
    explorer = gates.explore_gates(own)
    control(explorer, "Tube").value = label_of(own, FILE)
    control(explorer, "Value").value = 900.0
    assert tells(own, told(explorer)) == []
    control(explorer, "Save this gate").click()
    assert "only with a reason" in told(explorer) and tells(own, told(explorer)) == []
    control(explorer, "Reason").value = REASON
    control(explorer, "Save this gate").click()
    assert "D01, aPAP, AM + MSC" in told(explorer) and "AM + MSC" in tells(own, told(explorer))
    assert control(explorer, "Save this gate").disabled


# ---- the widgets


def test_a_moved_slider_shows_another_picture_and_other_shares(data: Analysis) -> None:
    explorer = gates.explore_gates(data)
    before = [w.value for w in explorer.children[3:]]
    control(explorer, "Place").value = 0.6
    after = [w.value for w in explorer.children[3:]]
    assert all(a != b for a, b in zip(before, after, strict=True))
    assert control(explorer, "Value").value == gates.slider_value(Axis("x", True, 262144.0), 0.6)


@pytest.mark.parametrize("axis", [None, Axis("FSC-A", False, 262144.0), Axis("CD206 (PE-A)", True, 262144.0)])
@pytest.mark.parametrize("place", [0.05, 0.5, 0.93])
def test_the_slider_stands_where_its_value_is_drawn(axis: Axis | None, place: float) -> None:
    assert gates.slider_place(axis, gates.slider_value(axis, place)) == pytest.approx(place, abs=2e-3)


def test_an_edge_that_was_not_moved_is_not_saved(own: Analysis) -> None:
    before = (own.folder / "phenotype" / "gates.csv").read_bytes()
    explorer = gates.explore_gates(own)
    control(explorer, "Reason").value = REASON
    control(explorer, "Save this gate").click()
    assert "move it before saving" in told(explorer)
    assert (own.folder / "phenotype" / "gates.csv").read_bytes() == before


def test_two_gates_can_be_saved_one_after_the_other(own: Analysis) -> None:
    explorer = gates.explore_gates(own)
    for file in (FILE, "B01C01_stained.fcs"):
        control(explorer, "Tube").value = label_of(own, file)
        control(explorer, "Value").value = 950.0
        control(explorer, "Reason").value = REASON
        control(explorer, "Save this gate").click()
    overrides = analysed(own.folder).table("gate_overrides")
    assert set(overrides["override_for"]) >= {FILE, "B01C01_stained.fcs"}


def test_a_study_without_flow_cytometry_says_so(data: Analysis) -> None:
    none = data.study.tables | {"phenotype/samples": data.study.tables["phenotype/samples"].iloc[:0]}
    assert "no gate to look at" in told(gates.explore_gates(replace(data, study=replace(data.study, tables=none))))


# ---- saving


def save(data: Analysis, value: float = 900.0, reason: str = REASON) -> pd.DataFrame:
    """Save another edge of AM for one file; what the explorer showed of it."""
    tube = gates.opened(data, FILE)
    row = moved.with_edge(tube, "AM", 0, value)
    save_override(data.folder, data.study.sources.get(TABLE), data.study.inputs, tube, row, reason)
    return gates.shares_at(tube, "AM", 0, value)


@pytest.mark.parametrize("value", [900.0, 1234.5678901234567])
def test_saved_and_read_again_the_study_has_exactly_the_shares_that_were_shown(own: Analysis, value: float) -> None:
    before, shown = (own.folder / "phenotype" / "gates.csv").read_bytes(), save(own, value)
    after = (own.folder / "phenotype" / "gates.csv").read_bytes()
    assert after.startswith(before) and after.count(b"\n") == before.count(b"\n") + 1
    again = analysed(own.folder)
    stored = populations(again, FILE)
    for column in ("n_parent", "n_events", "pct_parent"):
        np.testing.assert_array_equal(shown[column], stored[column].astype("float64"))
    others = again.table("phenotype_populations").query("fcs_file != @FILE")
    pd.testing.assert_frame_equal(others, own.table("phenotype_populations").query("fcs_file != @FILE"))
    logged = again.table("gate_overrides").query("override_for == @FILE").iloc[0]
    assert (logged["population"], logged["reason"], logged["edges_of_all"]) == ("AM", REASON, "700;")


def test_a_gate_is_changed_once_for_a_file(own: Analysis) -> None:
    save(own)
    with pytest.raises(Refused, match="already changed for this file"):
        save(analysed(own.folder), 950.0)


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("  \n ", "only with a reason"),
        ("x" * 201, "at most 200 characters"),
        ("=1+1", "begins with a word"),
        ("see mail to a.b@example.org", "an e-mail address"),
    ],
)
def test_a_reason_that_cannot_stand_is_refused(own: Analysis, reason: str, said: str) -> None:
    before = (own.folder / "phenotype" / "gates.csv").read_bytes()
    with pytest.raises(Refused, match=said):
        save(own, reason=reason)
    assert (own.folder / "phenotype" / "gates.csv").read_bytes() == before


def edited(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"700;", b"710;"))


@pytest.mark.parametrize("spoil", [edited, Path.unlink])
def test_a_table_that_changed_since_it_was_read_is_not_written_to(own: Analysis, spoil: Callable[[Path], None]) -> None:
    path = own.folder / "phenotype" / "gates.csv"
    spoil(path)
    before = path.read_bytes() if path.exists() else None
    with pytest.raises(Refused, match="changed since the study was read"):
        save(own)
    assert (path.read_bytes() if path.exists() else None) == before


def test_a_workbook_is_not_written_to_and_the_row_to_copy_is_shown(own: Analysis) -> None:
    path = own.folder / "phenotype" / "gates.csv"
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "phenotype_gates"
    for line in pd.read_csv(path, header=None, dtype=str, keep_default_na=False).itertuples(index=False):
        sheet.append(list(line))
    path.unlink()
    book.save(own.folder / "phenotype" / "gates.xlsx")
    data = analysed(own.folder)
    before = (own.folder / "phenotype" / "gates.xlsx").read_bytes()
    explorer = gates.explore_gates(data)
    control(explorer, "Tube").value = label_of(data, FILE)
    control(explorer, "Value").value = 900.0
    control(explorer, "Reason").value = REASON
    control(explorer, "Save this gate").click()
    said = told(explorer)
    assert "sheet of a workbook" in said and "900;" in said and REASON in said and FILE in said
    assert (own.folder / "phenotype" / "gates.xlsx").read_bytes() == before


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("whole", [True, False])
def test_a_record_is_added_in_the_files_own_way(encoding: str, delimiter: str, end: str, whole: bool) -> None:
    lines = [
        delimiter.join(("a", "b", "c")),
        delimiter.join(("1", '"泡沫细胞, 多"', "")),
        delimiter.join(("2", "x", "y")),
    ]
    data = (end.join(lines) + (end if whole else "")).encode(encoding)
    out = with_record(data, "x.csv", {"c": "z", "a": "3; 4, 5"})
    assert out.startswith(data)
    added = out.decode(encoding)[len(data.decode(encoding)) :].removeprefix("" if whole else end)
    assert added.endswith(end) and added.count(end) == 1 and "z" in added


def test_a_record_for_a_column_that_is_not_there_is_refused() -> None:
    with pytest.raises(Refused, match="lacks a column"):
        with_record(b"a,b\n1,2\n", "x.csv", {"reason": "x"})


def test_a_reason_is_kept_as_one_line() -> None:
    assert checked_reason(" Foamy\ncells. ") == "Foamy cells."
