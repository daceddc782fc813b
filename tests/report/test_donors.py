"""Pages of donors: what they may see, when they are made anew, and what `--donor` leaves as it is."""

from __future__ import annotations

import html
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from helpers.analysis import INFERRED, donor_parts, load_donor, load_study
from helpers.cli import app
from helpers.core.problems import Refused
from helpers.figures.donor import against_controls
from helpers.report import build, words
from helpers.report.build import UsageError, build_donor, build_report
from helpers.report.donors import SOURCE, page_file, page_key, page_keys
from helpers.simulate import write_demo


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small simulated study; read only."""
    folder = tmp_path_factory.mktemp("donors") / "study"
    write_demo(folder, 4)
    return folder


@pytest.fixture
def changed(study: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(study, tmp_path / "study"))


def edit(file: Path, donor: str, column: str, value: object) -> None:
    table = pd.read_csv(file, dtype=str, keep_default_na=False)
    table.loc[table.iloc[:, 0].eq(donor) | table.get("donor_id", table.iloc[:, 0]).eq(donor), column] = str(value)
    table.to_csv(file, index=False)


# ---- what a page may see


def test_a_part_holds_every_row_of_its_donor_and_no_others(study: Path) -> None:
    data = load_study(study)
    parts = {part.donor_id: part for part in donor_parts(data)}
    assert list(parts) == list(data.table("donors_derived")["donor_id"])
    for name, table in data.measured.items():
        if "donor_id" not in table or name in ("exclusions", "participant_flow"):
            continue
        own = [p.own.table(name) for p in parts.values()]
        assert sum(map(len, own)) == table["donor_id"].isin(list(parts)).sum(), name
        for donor, part in parts.items():
            assert set(part.own.table(name)["donor_id"]) <= {donor}
    others = set(parts) - {"D01"}
    inside = " ".join(t.astype(str).to_csv() for t in parts["D01"].own.study_tables.values() if "donor_id" in t)
    assert not [d for d in others if d in inside]


def test_a_control_is_not_compared_with_itself(study: Path) -> None:
    data = load_study(study)
    roles = data.table("donors_derived").set_index("donor_id")["role"]
    for donor, part in ((p.donor_id, p) for p in donor_parts(data)):
        expected = {d for d, r in roles.items() if r == "control"} - {donor}
        assert set(part.controls["donor_id"]) == expected
        named = {(r["assay"], r["name"]) for r in data.config.settings["readouts"]}
        assert set(zip(part.controls["assay"], part.controls["readout"], strict=True)) <= named


def test_a_page_knows_no_statistics() -> None:
    """One donor has no p; and a page that asked for the effects would wait for all of them."""
    text = SOURCE.read_text(encoding="utf-8")
    assert not [name for name in INFERRED if name in text]


def test_an_unknown_donor_is_a_sentence(study: Path, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="No donor who is analysed"):
        load_donor(study, "D1")
    with pytest.raises(UsageError, match="there is D0"):
        build_donor(study, tmp_path / "out", "D1")
    done = CliRunner().invoke(app, ["report", str(study), "--out", str(tmp_path / "out"), "--donor", "D99"])
    assert done.exit_code == 2 and not (tmp_path / "out").exists()
    both = ["report", str(study), "--out", str(tmp_path / "out"), "--donor", "D01", "--only", "00_data_check"]
    assert CliRunner().invoke(app, both).exit_code == 2


# ---- when a page is made anew


def test_a_patients_new_value_touches_only_that_page(study: Path, changed: Path) -> None:
    before = page_keys(load_study(study))
    edit(changed / "donors.csv", "D01", "symptom_duration_months", 40)
    after = page_keys(load_study(changed))
    assert [d for d in before if before[d] != after[d]] == ["D01"]
    assert before["D01"].cohort == after["D01"].cohort


def test_a_controls_new_value_touches_the_page_of_everybody_compared_with_it(study: Path, changed: Path) -> None:
    data = load_study(study)
    roles = data.table("donors_derived").set_index("donor_id")["role"]
    control = next(d for d, r in roles.items() if r == "control")
    file = changed / "measurements.csv"
    table = pd.read_csv(file, dtype=str, keep_default_na=False)
    part = next(p for p in donor_parts(data) if p.donor_id == control)
    own = set(part.own.study_tables["cultures"]["culture_id"])
    hit = table["culture_id"].isin(own) & table["readout"].eq("OilRedO")
    table.loc[hit, "value"] = "0.77"
    table.to_csv(file, index=False)
    before, after = page_keys(data), page_keys(load_study(changed))
    assert {d for d in before if before[d].cohort != after[d].cohort} == set(before) - {control}
    assert all(before[d].digest != after[d].digest for d in before)


def test_one_page_is_written_and_the_list_says_what_is_older(
    study: Path, changed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    monkeypatch.setattr(build, "study_notebooks", dict)  # the donors' pages are enough here
    build_report(study, out, jobs=2)
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    donors = list(page_keys(load_study(study)))
    for donor in donors[:2]:
        edit(changed / "donors.csv", donor, "symptom_duration_months", 40)
    result = build_donor(changed, out, donors[0])
    assert result.exit_code == 0 and result.index == out / page_file(donors[0])
    differs = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file() and before.get(p) != p.read_bytes()}
    own = {page_file(donors[0]), f"notebooks/donors/{donors[0]}.ipynb"}
    assert own <= differs and {f for f in differs - own if not f.startswith("figures/donor_")} == {
        "donors.html",
        "index.html",
    }
    rows = re.findall(r"<tr><td>.*?</tr>", (out / "donors.html").read_text(encoding="utf-8"))
    said = {re.search(r">(D\d+)</a>", r)[1]: re.findall(r"<td>([^<]*)</td>", r)[-1] for r in rows}
    assert said == dict.fromkeys(donors, words.CURRENT) | {donors[1]: words.STALE}
    assert html.escape(words.OTHER_DATA) in (out / "index.html").read_text(encoding="utf-8")
    build_report(changed, out, jobs=2)
    assert words.OTHER_DATA not in (out / "index.html").read_text(encoding="utf-8")
    assert words.STALE not in (out / "donors.html").read_text(encoding="utf-8")


def test_the_page_stands_in_the_site(report: Path) -> None:
    listed = re.findall(r'<a href="(donors/[^"]+)">', (report / "donors.html").read_text(encoding="utf-8"))
    assert len(listed) == 25 and all((report / f).is_file() for f in listed)
    page = (report / listed[0]).read_text(encoding="utf-8")
    links = re.findall(r'href="([^"#]+)"', page)
    assert links and all(((report / "donors") / link).resolve().is_file() for link in links)
    assert words.RESEARCH in page and "For research" in page
    notebook = json.loads((report / "notebooks" / listed[0].replace(".html", ".ipynb")).read_text(encoding="utf-8"))
    assert notebook["cells"]


def test_the_key_of_one_page_is_the_one_among_all(study: Path) -> None:
    data = load_study(study)
    for donor, key in page_keys(data).items():
        assert page_key(data, donor) == key
    assert page_key(data, "D99") is None


# ---- what a page draws


def test_dots_of_many_controls_are_an_image_and_those_of_few_are_outlines(study: Path) -> None:
    part = load_donor(study, "D01")
    there = part.controls
    crowd = pd.concat([there.assign(donor_id=there["donor_id"] + f"-{i}") for i in range(400)], ignore_index=True)
    few, many = against_controls(part), against_controls(replace(part, controls=crowd))
    assert b"<image" not in few.image("svg")
    assert b"<image" in many.image("svg")
    assert len(many.image("svg")) < 20 * len(few.image("svg"))  # 400 times the dots
    assert f"{400 * there['donor_id'].nunique()} controls" in many.caption
