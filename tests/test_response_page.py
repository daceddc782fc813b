"""The page on the response to MSC holds for hard studies: every cell runs, and no sentence claims what is not there."""

from __future__ import annotations

import csv
import html
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.core.files import PROJECT
from helpers.figures.base import Picture
from helpers.simulate import write_demo
from helpers.tables.base import TableView

NASTY = ["<script>alert(1)</script>", "肺泡巨噬细胞", "x" * 60, "😀 & 'q'"]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo with measurements alone: one assay."""
    folder = tmp_path_factory.mktemp("response") / "demo"
    write_demo(folder, donors=12)
    for assay in ("cytokines", "phenotype", "phagocytosis"):
        shutil.rmtree(folder / assay)
    return folder


def altered(study: Path, table: str, change: Callable[[dict[str, str]], dict[str, str] | None]) -> None:
    """Change or drop the rows of a table of a study."""
    with (study / table).open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    with (study / table).open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(row for old in rows if (row := change(old)))


def page(study: Path) -> dict[str, object]:
    """Run the notebook's code on a study; what its cells show, by their source."""
    book = json.loads((PROJECT / "notebooks" / "05_msc_response.ipynb").read_text(encoding="utf-8"))
    shown: dict[str, object] = {}
    space: dict[str, object] = {}
    for cell in (c for c in book["cells"] if c["cell_type"] == "code"):
        source = "".join(cell["source"])
        if source.startswith("show_all("):  # it displays its pictures and returns none
            made = source.removeprefix("show_all(").removesuffix(", out, pdf_tiff)")
            shown |= {f"{made} {i}": picture for i, picture in enumerate(eval(made, space))}
        elif source.startswith(("show(", "views.", "data.")):
            shown[source] = eval(source, space)
        else:
            exec(source, space)
            space["study"] = str(study)
    return shown


def words(shown: dict[str, object]) -> str:
    return "\n".join(str(v) for v in shown.values())


def summary(shown: dict[str, object]) -> str:
    return next(str(v) for k, v in shown.items() if k.startswith("views.summary_view"))


def held(shown: dict[str, object]) -> None:
    """What holds on every page, whatever the study."""
    text = words(shown)
    assert not re.search(r"\bnan\b|\bNone\b(?! of)|<NA>", text)
    assert all(str(line).rstrip().endswith(".") for line in summary(shown).split("\n"))
    assert not re.search(r"\bsignificant|\bproves?\b|\bcaused? by\b|healthy donors", text)
    for value in shown.values():
        if isinstance(value, TableView):
            assert "<script" not in value._repr_html_()
        if isinstance(value, Picture):
            assert value.image("png")


def test_one_assay_alone_has_no_concordance(measured: Path) -> None:
    shown = page(measured)
    held(shown)
    assert "OilRedO" in summary(shown) and "0 pairs of assays" in words(shown)
    assert "values that a change needs of CCL18; bead, net % phagocytic; AM, CD206, ΔMFI." in summary(shown)
    assert " of 2 comparisons" in summary(shown).split("\n")[1], "what nobody measured is not counted"
    assert any("in the table alone: CCL18;" in p.caption for p in shown.values() if isinstance(p, Picture))
    assert "effects of co-culture" in summary(shown) and "applies to these lots" in summary(shown)


def test_one_group_alone_has_no_gap_and_no_health_of_its_own(measured: Path, tmp_path: Path) -> None:
    study = shutil.copytree(measured, tmp_path / "one")
    altered(study, "donors.csv", lambda r: r | {"group": "apap", "diagnosis": "autoimmune_pap"})
    shown = page(study)
    held(shown)
    said = summary(shown)
    assert "No control donor was measured" in said and "no controls" in said
    assert "this study's own gap has no say" in said or "not told apart" in said
    assert "0 of 4 comparisons" in words(shown) or "No share of a gap" in words(shown)


def test_one_donor_is_no_group(tmp_path: Path) -> None:
    write_demo(tmp_path / "one", donors=1)
    for assay in ("cytokines", "phenotype", "phagocytosis"):
        shutil.rmtree(tmp_path / "one" / assay)
    shown = page(tmp_path / "one")
    held(shown)
    assert " higher," not in summary(shown) and " lower," not in summary(shown)


def test_no_complete_pair_gives_no_change(measured: Path, tmp_path: Path) -> None:
    study = shutil.copytree(measured, tmp_path / "odd")
    with (study / "cultures.csv").open(encoding="utf-8", newline="") as handle:
        treated = {r["culture_id"]: "msc" in r["condition"] for r in csv.DictReader(handle)}
    altered(
        study,
        "measurements.csv",
        lambda r: r if treated[r["culture_id"]] == (int(r["culture_id"][1:3]) % 2 == 1) else None,
    )
    shown = page(study)
    held(shown)
    assert "There is no estimate of co-culture with MSC" in words(shown)
    assert "No donor has the values that a change needs of CCL18; OilRedO;" in summary(shown)
    assert "the interval leaves no change out" not in summary(shown)


def test_everything_below_the_limit_is_a_bound_and_no_change(measured: Path, tmp_path: Path) -> None:
    study = shutil.copytree(measured, tmp_path / "below")
    altered(study, "measurements.csv", lambda r: r | {"value": "0.5", "qualifier": "<"})
    shown = page(study)
    held(shown)
    assert "all censored" in summary(shown) and "interval leaves no change out in 0 of" in summary(shown)


def test_labels_of_any_kind_are_shown_as_they_are(measured: Path, tmp_path: Path) -> None:
    study = shutil.copytree(measured, tmp_path / "nasty")
    path = study / "study.yaml"
    text = path.read_text(encoding="utf-8")
    for old, new in zip(("label: aPAP", "label: AM alone", "label: AM + MSC,"), NASTY, strict=False):
        assert old in text
        text = text.replace(old, f"label: {json.dumps(new, ensure_ascii=False)}{',' if old.endswith(',') else ''}", 1)
    text = text.replace("{name: OilRedO,", f"{{name: OilRedO, label: {json.dumps(NASTY[3], ensure_ascii=False)},", 1)
    path.write_text(text, encoding="utf-8")
    shown = page(study)
    held(shown)
    assert all(label in summary(shown) for label in NASTY)
    assert html.escape(NASTY[0]) in next(v for k, v in shown.items() if "summary_view" in k)._repr_html_()
