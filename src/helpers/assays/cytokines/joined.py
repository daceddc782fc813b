"""An instrument's plate joined to the study: which well holds which sample, at which dilution, under which name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from helpers.core.problems import Problem
from helpers.readers.plate import Plate
from helpers.study.deviations import excluded_wells

PER_PG_ML = {"pg/ml": 1.0, "pg/ml.": 1.0, "ng/ml": 1000.0, "ug/ml": 1e6, "µg/ml": 1e6, "ng/l": 1.0, "pg/l": 0.001}
"""How many pg/ml one printed unit is."""


def joined(
    plate: Plate, file: str, row: Mapping[str, Any], tables: Mapping[str, pd.DataFrame], pattern: str = ""
) -> tuple[pd.DataFrame, list[Problem]]:
    """Wells of one plate with their role, sample, dilution, expected concentration and analyte as the study names them.

    Parameters
    ----------
    plate
        From `renamed`.
    file
        Its path inside the study, for messages.
    row
        Its record of cytokines/plates: plate_id, dilution_default, bead_min.
    tables
        Typed input tables.
    pattern
        ``file_patterns.cytokine_sample`` of study.yaml: a regular expression with a group ``sample_id``, or with
        groups that name columns of cultures and specimens (donor_id, visit, condition, timepoint_h, replicate).

    Returns
    -------
    Columns of `fitted.WELLS`, then bead_count, vendor_conc_pg_ml, vendor_state, low_pg_ml, high_pg_ml (a control's
    range), flags, reason; and what does not
    fit together.
    """
    where = {"file": file, "entity": f"plate {row['plate_id']}"}
    wells = plate.wells.rename(
        columns={"conc": "vendor_conc_pg_ml", "state": "vendor_state", "recovery_pct": "vendor_recovery_pct"}
    )
    own = tables["cytokines/layout"]
    own = own[own["plate_id"] == row["plate_id"]]
    placed, problems = _by_layout(wells, own, where) if len(own) else _by_name(wells, tables, pattern, where)
    placed = _without(placed, excluded_wells(tables, str(row["plate_id"])))
    wells = placed.assign(flags=_flags(placed, row, own))
    per, said = _units(plate.analytes, where)
    wells = _in_pg_ml(wells, per)
    wells["dilution"] = _dilutions(wells, row)
    wells, more = _expected(wells, plate, per, tables["cytokines/standards"], where, str(row["plate_id"]))
    return wells.reset_index(drop=True), [*problems, *said, *more]


def position(well: str) -> str:
    """A printed position as the layout writes it.

    Examples
    --------
    >>> position("a01"), position("H12"), position("A1,A2")
    ('A1', 'H12', 'A1,A2')
    """
    return ",".join(re.sub(r"^([A-Za-z]+)0*(\d+)$", lambda m: m[1].upper() + m[2], w.strip()) for w in well.split(","))


def _without(wells: pd.DataFrame, out: frozenset[str]) -> pd.DataFrame:
    """Wells with those that deviations exclude set aside; an average that holds one of them, too."""
    places = {position(well) for well in out}
    hit = wells["well"].map(lambda well: not places.isdisjoint(position(well).split(","))).astype(bool)
    return wells.assign(use=wells["use"] & ~hit, reason=wells["reason"].mask(hit, "excluded by deviations"))


# ---- what a well holds


def _by_layout(wells: pd.DataFrame, layout: pd.DataFrame, where: dict[str, str]) -> tuple[pd.DataFrame, list[Problem]]:
    """Roles and samples from the study's layout; an average of wells must be one sample in all of them."""
    known = layout.assign(well=layout["well"].map(position)).drop_duplicates("well").set_index("well").to_dict("index")
    problems: list[Problem] = []
    rows: dict[str, dict[str, Any]] = {}
    for well in dict.fromkeys(wells["well"]):
        here = [known[p] for p in position(well).split(",") if p in known]
        if not here:
            continue
        if len({(str(r["role"]), str(r["sample_id"]), str(r["level"])) for r in here}) > 1:
            problems.append(
                _say(
                    "warning",
                    "average-of-different",
                    "The file averages wells that the layout gives to different samples; this average is not used.",
                    "Export single wells.",
                    where,
                    found=well,
                )
            )
            continue
        rows[well] = here[0] | {"use": all(r["use"] != "n" for r in here)}
    unplaced = [w for w in dict.fromkeys(wells["well"]) if w not in rows]
    if unplaced:
        problems.append(
            _say(
                "warning",
                "well-without-layout",
                f"{len(unplaced)} wells of the file are not in the layout; they are shown and not used.",
                "Add them to cytokines/layout, or mark them as empty.",
                where,
                found=", ".join(unplaced),
            )
        )
    measured = {p for w in dict.fromkeys(wells["well"]) for p in position(w).split(",")}
    absent = [w for w, r in known.items() if w not in measured and r["role"] != "empty"]
    if absent:
        problems.append(
            _say(
                "warning",
                "well-without-result",
                f"{len(absent)} wells of the layout are not in the instrument's file.",
                "Check that the layout belongs to this plate.",
                where,
                found=", ".join(absent),
            )
        )
    at = wells["well"].map(lambda w: rows.get(w, {}))
    out = wells.assign(
        **{
            c: pd.array([r.get(c, pd.NA) for r in at], dtype=t)
            for c, t in (("role", "string"), ("level", "Int64"), ("sample_id", "string"), ("reason", "string"))
        }
    )
    stated = pd.array([r.get("dilution", np.nan) for r in at], dtype="float64")
    conflict = out["dilution"].notna() & ~np.isnan(stated) & (out["dilution"] != stated) & (out["role"] == "sample")
    if conflict.any():
        problems.append(
            _say(
                "warning",
                "two-dilutions",
                "The file and the layout state different dilutions for a well; the layout counts.",
                "Correct one of them.",
                where,
                found=", ".join(dict.fromkeys(out.loc[conflict, "well"])),
            )
        )
    out["dilution"] = np.where(np.isnan(stated), out["dilution"], stated)
    out["use"] = [bool(r.get("use", False)) for r in at]
    out["role"] = out["role"].fillna("sample")
    return _standards_and_controls(out), problems


def _by_name(
    wells: pd.DataFrame, tables: Mapping[str, pd.DataFrame], pattern: str, where: dict[str, str]
) -> tuple[pd.DataFrame, list[Problem]]:
    """Roles from the instrument's own marks, samples from its sample names."""
    codes = set(tables["cytokines/samples"]["sample_id"].dropna()) or set(tables["cultures"]["culture_id"].dropna())
    wells = wells.assign(role=wells["role"].fillna("sample"))
    ours = wells["sample"].isin(codes) & (wells["kind"].fillna("") == "")  # a culture called C07 is no control 7
    wells = wells.assign(role=wells["role"].mask(ours, "sample"), level=wells["level"].mask(ours))
    names = {
        n: _sample_of(n, codes, pattern, tables)
        for n in dict.fromkeys(wells.loc[wells["role"] == "sample", "sample"].fillna(""))
    }
    wells, names = _bridges(wells, names, tables["cytokines/layout"])
    lost = [n for n, sample in names.items() if sample is None]
    problems = []
    if lost:
        problems.append(
            _say(
                "warning",
                "sample-unmatched",
                f"{len(lost)} sample names of the instrument match no sample or culture of the study; their wells are shown and not used.",
                "Give cytokines/layout, correct the names, or set file_patterns.cytokine_sample in study.yaml.",
                where,
                found=", ".join(n or "(no name)" for n in lost),
            )
        )
    sample = wells["sample"].fillna("").map(names).where(wells["role"].isin(["sample", "bridge"]))
    out = wells.assign(sample_id=sample.astype("string"), reason=pd.array([pd.NA] * len(wells), dtype="string"))
    out["use"] = ~out["role"].isin(["sample", "bridge"]) | out["sample_id"].notna()
    return _standards_and_controls(out), problems


def _bridges(
    wells: pd.DataFrame, names: dict[str, str | None], layout: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, str | None]]:
    """What a layout calls a bridge on one plate is a bridge on every plate that carries it."""
    codes = set(layout.loc[layout["role"] == "bridge", "sample_id"].dropna())
    bridge = wells["sample"].isin(codes) & (wells["role"] == "sample")
    return wells.assign(role=wells["role"].mask(bridge, "bridge")), names | {c: c for c in codes}


def _sample_of(name: str, codes: set[str], pattern: str, tables: Mapping[str, pd.DataFrame]) -> str | None:
    """The study's code of an instrument's sample name: the code itself, or what the pattern reads out of it."""
    if name in codes:
        return name
    match = re.fullmatch(pattern, name) if pattern else None
    if match is None:
        return None
    parts = {k: v for k, v in match.groupdict().items() if v is not None}
    if "sample_id" in parts:
        return parts["sample_id"] if parts["sample_id"] in codes else None
    cultures = tables["cultures"].merge(
        tables["specimens"][["specimen_id", "donor_id", "visit"]], on="specimen_id", how="left"
    )
    for column, value in parts.items():
        if column not in cultures:
            return None
        own = cultures[column]
        cultures = cultures[own.map(lambda v, t=value: _same(v, t)).fillna(False).astype(bool)]
    return str(cultures["culture_id"].iloc[0]) if parts and len(cultures) == 1 else None


def _same(value: Any, text: str) -> bool:
    """Whether a cell of the study is what a name spells; numbers as numbers (24 and 24.0)."""
    if pd.isna(value):
        return False
    try:
        return float(value) == float(text)
    except (TypeError, ValueError):
        return str(value) == text


def _standards_and_controls(wells: pd.DataFrame) -> pd.DataFrame:
    """Controls are named by their level, so that their wells are averaged; standards have no sample."""
    control = wells["role"].isin(["control", "bridge"]) & wells["sample_id"].isna()
    name = "control " + wells["level"].astype("string")
    return wells.assign(
        sample_id=wells["sample_id"].mask(control, name).mask(wells["role"].isin(["standard", "blank", "empty"]))
    )


# ---- numbers


def _flags(wells: pd.DataFrame, row: Mapping[str, Any], layout: pd.DataFrame) -> pd.Series:
    """low_beads below the plate's minimum, set_aside by the layout, and what the instrument's software marked."""
    low = (wells["bead_count"] < float(row["bead_min"])).map({True: "low_beads", False: ""})
    aside = wells["reason"].notna().map({True: "set_aside", False: ""})
    vendor = wells["flag"].fillna("").ne("").map({True: "vendor_flag", False: ""})
    return pd.Series(
        [";".join(filter(None, parts)) for parts in zip(low, aside, vendor, strict=True)], index=wells.index
    )


def _dilutions(wells: pd.DataFrame, row: Mapping[str, Any]) -> np.ndarray:
    """The well's own dilution; the plate's default for samples alone; standards and blanks are as their level says."""
    usual = np.where(wells["role"].isin(["sample", "bridge"]), float(row["dilution_default"]), 1.0)
    stated = np.where(wells["role"].isin(["standard", "blank"]), 1.0, wells["dilution"].to_numpy(dtype="float64"))
    return np.where(np.isnan(stated), usual, stated)


def _units(analytes: pd.DataFrame, where: dict[str, str]) -> tuple[dict[str, float], list[Problem]]:
    """pg/ml in one printed unit of each analyte; an unknown unit is said and taken as it stands."""
    plain = analytes["unit"].fillna("").str.strip().str.casefold().str.replace(" ", "")
    per = {a: PER_PG_ML.get(u, 1.0) for a, u in zip(analytes["analyte"], plain, strict=True)}
    odd = sorted({u for u in plain if u and u not in PER_PG_ML})
    if not odd:
        return per, []
    return per, [
        _say(
            "warning",
            "unit-unknown",
            "The file prints a unit that is not one of concentration by mass; its numbers are taken as pg/ml.",
            "Check the unit of the standards; give cytokines/standards in pg/ml.",
            where,
            found=", ".join(odd),
            expected="pg/ml",
        )
    ]


def _in_pg_ml(wells: pd.DataFrame, per: Mapping[str, float]) -> pd.DataFrame:
    factor = wells["analyte"].map(per).fillna(1.0).astype("float64")
    return wells.assign(vendor_conc_pg_ml=wells["vendor_conc_pg_ml"] * factor, expected=wells["expected"] * factor)


def _expected(
    wells: pd.DataFrame,
    plate: Plate,
    per: Mapping[str, float],
    given: pd.DataFrame,
    where: Mapping[str, str],
    plate_id: str,
) -> tuple[pd.DataFrame, list[Problem]]:
    """Concentration of standards and controls: the study's own table, else what the file prints for the level."""
    printed = plate.standards.dropna(subset=["level"]).drop_duplicates(["analyte", "role", "level"])
    factor = printed["analyte"].map(per).fillna(1.0).astype("float64")
    printed = printed.assign(**{c: printed[c] * factor for c in ("expected", "low", "high")})
    mine = given[given["plate_id"] == plate_id].rename(columns={"expected_pg_ml": "own"})
    wells = wells.merge(
        printed[["analyte", "role", "level", "expected", "low", "high"]],
        on=["analyte", "role", "level"],
        how="left",
        suffixes=("", "_printed"),
    ).merge(mine[["analyte", "level", "own"]].assign(role="standard"), on=["analyte", "role", "level"], how="left")
    expected = wells["own"].fillna(wells["expected_printed"]).fillna(wells["expected"])
    known = wells["role"].isin(["standard", "control"])
    wells = wells.assign(expected=expected.where(known), low_pg_ml=wells["low"], high_pg_ml=wells["high"])
    wells = wells.drop(columns=["expected_printed", "own", "low", "high"])
    without = wells[(wells["role"] == "standard") & wells["expected"].isna()]
    if without.empty:
        return wells, []
    levels = ", ".join(
        dict.fromkeys(f"{a} level {n}" for a, n in zip(without["analyte"], without["level"], strict=True))
    )
    message = "Standards without a printed concentration are left out of the curves."
    fix = "Give them in cytokines/standards."
    return wells, [_say("warning", "standard-without-concentration", message, fix, where, found=levels)]


def renamed(plate: Plate, analytes: pd.DataFrame) -> Plate:
    """The plate with its analytes named as the study names them (cytokines/analytes, synonyms)."""
    names: dict[str, str] = {}
    for one in analytes.itertuples():
        others = [] if pd.isna(one.synonyms) else [s.strip() for s in str(one.synonyms).split(";")]
        names |= {n.casefold(): str(one.analyte) for n in (*others, str(one.analyte)) if n}
    if not names:
        return plate

    def ours(table: pd.DataFrame) -> pd.DataFrame:
        own = table["analyte"].str.casefold().map(names)
        return table.assign(analyte=own.fillna(table["analyte"]).astype("string"))

    tables = {n: ours(getattr(plate, n)) for n in ("wells", "averages", "standards", "curves", "analytes")}
    return replace(plate, **tables)


def _say(
    severity: Any, code: str, message: str, fix: str, where: Mapping[str, str], found: str = "", expected: str = ""
) -> Problem:
    return Problem(severity, code, message, fix, found=found, expected=expected, **where)  # type: ignore[arg-type]
