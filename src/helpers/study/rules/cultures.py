"""Specimens and cultures: cells, lots and wells are those the condition says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from helpers.core.problems import Problem
from helpers.study.config import Condition, Config
from helpers.study.folder import Folder
from helpers.study.rules.saying import Tables, about, key_is_there
from helpers.study.tables import TypedTable, records


def specimen_logic(tables: Tables, config: Config, folder: Folder) -> Iterator[Problem]:
    """A specimen has a donor or is a pool; a differential sums to 100 ± 2; controls have no therapeutic lavage."""
    table = tables["specimens"]
    roles = dict(zip(tables["donors"].frame["donor_id"], tables["donors"].frame["group"], strict=True))
    controls = set(config.groups_of("control"))
    codes = set(table.frame["specimen_id"].dropna())
    for i, one in enumerate(records(table.frame)):
        pooled = [] if pd.isna(one.pooled_from) else [p.strip() for p in one.pooled_from.split(";") if p.strip()]
        if pd.isna(one.donor_id) and not pooled:
            yield Problem(
                "error",
                "specimen-without-donor",
                "A specimen has neither a donor nor the specimens it was pooled from.",
                "Fill in donor_id, or pooled_from for a pool.",
                expected="donor_id",
                **table.at(i, "donor_id"),
            )
        for part in pooled:
            if part not in codes and key_is_there(tables, folder, "specimens", "specimen_id"):
                yield Problem(
                    "error",
                    "unknown-key",
                    "A pool names a specimen that is not in the table.",
                    "Correct the code.",
                    found=part,
                    expected="a specimen_id",
                    **table.at(i, "pooled_from"),
                )
        shares = [one.pct_macrophage, one.pct_lymphocyte, one.pct_neutrophil, one.pct_eosinophil]
        if not any(pd.isna(s) for s in shares) and abs(sum(shares) - 100) > 2:
            yield Problem(
                "warning",
                "differential-sum",
                "The differential count does not sum to 100 ± 2.",
                "Check the four shares.",
                found=f"{sum(shares):g}",
                expected="98 to 102",
                **table.at(i, "pct_macrophage"),
            )
        if roles.get(one.donor_id) in controls and one.source == "wll":
            yield about(table, i, one.donor_id, "Correct the source or the group.")(
                "control-with-lavage",
                "A control donor has a whole-lung lavage.",
                "source",
                one.source,
                "diagnostic_bal, resection_wash or another source",
            )
        if one.volume_out_ml > one.volume_in_ml * 1.2:
            yield Problem(
                "warning",
                "volume-out",
                "More fluid came out than went in.",
                "Check the two volumes.",
                found=f"{one.volume_out_ml:g}",
                expected=f"at most {one.volume_in_ml:g}",
                **table.at(i, "volume_out_ml"),
            )


def culture_logic(tables: Tables, config: Config, folder: Folder) -> Iterator[Problem]:
    """Cells, lots and wells of a culture are those its condition says."""
    table = tables["cultures"]
    conditions = {c.code: c for c in config.conditions}
    donor_of = dict(zip(tables["specimens"].frame["specimen_id"], tables["specimens"].frame["donor_id"], strict=True))
    lots_are_listed = "msc_lots" in {*folder.sheets, *folder.unread}
    for i, one in enumerate(records(table.frame)):
        condition = conditions.get(one.condition) if not pd.isna(one.condition) else None
        if condition is not None:
            donor = donor_of.get(one.specimen_id)
            yield from _culture_cells(table, i, one, condition, donor)
            if lots_are_listed and condition.has_msc and pd.isna(one.msc_lot_id):
                say = about(table, i, donor, "Correct the record, or the condition in study.yaml.")
                yield say("no-msc-lot", "A culture with MSC names no MSC lot.", "msc_lot_id", "", "an msc_lot_id")
    if not lots_are_listed:
        yield from _unlisted_lots(table, conditions)
    yield from _doubled_wells(table)


def _unlisted_lots(table: TypedTable, conditions: Mapping[str, Condition]) -> Iterator[Problem]:
    """Without the table of MSC lots no lot is demanded; once it is said what is not known then."""
    with_msc = [
        one for one in records(table.frame) if one.condition in conditions and conditions[one.condition].has_msc
    ]
    without = sum(pd.isna(one.msc_lot_id) for one in with_msc)
    if with_msc:
        yield Problem(
            "warning",
            "msc-lots-not-recorded",
            f"The study has no table msc_lots: tissue and passage of the MSC are not known, and {without} of "
            f"{len(with_msc)} cultures with MSC name no lot.",
            "Add the table where lots are known; results hold for the MSC that were used, whatever lots those were.",
            file=table.file,
            sheet=table.sheet,
        )


def _culture_cells(table: TypedTable, i: int, one: Any, condition: Condition, donor: object) -> Iterator[Problem]:
    say = about(table, i, donor, "Correct the record, or the condition in study.yaml.")
    if condition.has_macrophages and pd.isna(one.specimen_id):
        yield Problem(
            "error",
            "culture-without-specimen",
            "A culture with macrophages names no specimen.",
            "Fill in specimen_id.",
            expected="a specimen_id",
            **table.at(i, "specimen_id"),
        )
    if not condition.has_macrophages and not pd.isna(one.specimen_id):
        yield say(
            "specimen-contradicts-condition",
            "A culture without macrophages names a specimen.",
            "specimen_id",
            one.specimen_id,
            "empty",
        )
    if condition.has_macrophages and one.am_per_well == 0:
        yield say(
            "cells-contradict-condition",
            "The condition has macrophages, but the well has none.",
            "am_per_well",
            "0",
            "more than 0",
        )
    if not condition.has_macrophages and one.am_per_well > 0:
        yield say(
            "cells-contradict-condition",
            "The condition has no macrophages, but the well has some.",
            "am_per_well",
            f"{one.am_per_well:g}",
            "0 or empty",
        )
    if condition.cells == "am_msc" and condition.format in ("direct", "transwell") and one.msc_per_well == 0:
        yield say(
            "cells-contradict-condition",
            "The condition has MSC, but the well has none.",
            "msc_per_well",
            "0",
            "more than 0",
        )
    if condition.cells in ("am", "none") and one.msc_per_well > 0:
        yield say(
            "cells-contradict-condition",
            "The condition has no MSC, but the well has some.",
            "msc_per_well",
            f"{one.msc_per_well:g}",
            "0 or empty",
        )
    ratio = one.msc_per_well / one.am_per_well if one.am_per_well > 0 and one.msc_per_well > 0 else float("nan")
    if condition.msc_am_ratio and ratio > 0 and not 0.67 <= ratio / condition.msc_am_ratio <= 1.5:
        yield say(
            "ratio-contradicts-condition",
            "MSC per macrophage in this well is not the ratio of its condition.",
            "msc_per_well",
            f"{ratio:.3g}",
            f"about {condition.msc_am_ratio:g}",
        )
    if condition.cells in ("am", "none") and not pd.isna(one.msc_lot_id):
        yield say(
            "lot-contradicts-condition",
            "A culture without MSC names an MSC lot.",
            "msc_lot_id",
            one.msc_lot_id,
            "empty",
        )


def _doubled_wells(table: TypedTable) -> Iterator[Problem]:
    frame = table.frame
    first: dict[tuple[str, ...], int] = {}
    for i, place in enumerate(zip(frame["plate_label"], frame["well"], strict=True)):
        if any(pd.isna(p) for p in place):
            continue
        if place in first:
            yield Problem(
                "error",
                "well-twice",
                f"Two cultures stand in the same well (see row {table.rows[first[place]]}).",
                "Correct plate_label or well.",
                found=" ".join(place),
                **table.at(i, "well"),
            )
        first.setdefault(place, i)


def pairs(tables: Tables, config: Config, folder: Folder) -> Iterator[Problem]:
    """A donor with one arm of a comparison only: said, since the pair is lost."""
    cultures, specimens = tables["cultures"], tables["specimens"].frame
    donor_of = dict(zip(specimens["specimen_id"], specimens["donor_id"], strict=True))
    usable = cultures.frame[cultures.frame["status"] == "ok"]
    donors = usable["specimen_id"].map(donor_of)
    for condition in config.conditions:
        if not (condition.compare_to and condition.has_macrophages):
            continue
        treated = set(donors[usable["condition"] == condition.code].dropna())
        reference = set(donors[usable["condition"] == condition.compare_to].dropna())
        for donor in sorted(treated - reference):
            yield Problem(
                "warning",
                "no-pair",
                f"Donor {donor} has usable cultures of {condition.code} but none of {condition.compare_to}.",
                "Nothing to mend where the cultures were lost; the pair is listed as missing.",
                file=cultures.file,
                sheet=cultures.sheet,
                entity="",
            )
        usual = 2 * len(treated) >= len(reference)  # a dose series of four donors is not missing in the others
        for donor in sorted(reference - treated):
            if treated and usual:
                yield Problem(
                    "warning",
                    "no-pair",
                    f"Donor {donor} has usable cultures of {condition.compare_to} but none of {condition.code}.",
                    "Nothing to mend where the cultures were lost; the pair is listed as missing.",
                    file=cultures.file,
                    sheet=cultures.sheet,
                )
