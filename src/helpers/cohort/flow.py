"""Who is there and what is there: participant flow, completeness of assays, and every exclusion with its rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import pandas as pd

from helpers.cohort.owners import owner_of, owners
from helpers.core.schemas import output_tables
from helpers.study.config import Config
from helpers.study.deviations import excluded

Tables = Mapping[str, pd.DataFrame]
Culture = tuple[str, str, str]
"""Code, specimen and status."""
STEPS = ("screened", "declined", "not_eligible", "enrolled", "withdrawn", "set_aside", "analysed")

_LOGS = ("exclusions", "participant_flow")


def of_donors(tables: Tables, donors: Collection[str]) -> dict[str, pd.DataFrame]:
    """The input tables with the rows of these donors only; tables that name no donor stay whole.

    Parameters
    ----------
    tables
        Typed input tables.
    donors
        Codes of donors.
    """
    return {
        name: table[table["donor_id"].isin(donors)].reset_index(drop=True) if "donor_id" in table else table
        for name, table in tables.items()
    }


def withdrawn_donors(donors: pd.DataFrame) -> set[str]:
    """Codes of donors who withdrew their consent."""
    return set(donors.loc[donors["enrolment_status"] == "withdrawn", "donor_id"])


def without_withdrawn(results: Tables, tables: Tables) -> dict[str, pd.DataFrame]:
    """Output tables without any row of a donor who withdrew consent; the log of exclusions and the flow keep theirs.

    Parameters
    ----------
    results
        Output tables by name.
    tables
        Typed input tables: they say which specimens, cultures, samples and files are a donor's.
    """
    gone, known = withdrawn_donors(tables["donors"]), owners(tables)
    return {
        name: table if name in _LOGS else table[~owner_of(table, known).isin(gone)].reset_index(drop=True)
        for name, table in results.items()
    }


def cultures_of_donors(tables: Tables) -> pd.DataFrame:
    """Cultures with a donor's macrophages: cultures joined to donor, visit and group of their specimen.

    Pools of several donors have no donor and are left out.
    """
    specimens = tables["specimens"][["specimen_id", "donor_id", "visit"]]
    donors = tables["donors"][["donor_id", "group"]]
    return tables["cultures"].merge(specimens, on="specimen_id").merge(donors, on="donor_id")


def planned_assays(measured: Mapping[str, set[str]], config: Config) -> dict[str, set[str]]:
    """The assays that completeness is judged against: those study.yaml plans, else those with any result."""
    planned = config.settings.get("assays")
    if planned is None:
        return {assay: cultures for assay, cultures in measured.items() if cultures}
    kept = {assay: cultures for assay, cultures in measured.items() if assay.split(":")[0] in planned}
    missing = (a for a in planned if not any(k.split(":")[0] == a for k in kept))
    return kept | {a: set() for a in missing}


def completeness(tables: Tables, measured: Mapping[str, set[str]], config: Config) -> pd.DataFrame:
    """What is there of what was planned, for each donor, visit, assay, condition and time.

    Planned is a condition and time that at least half of the donors have cultures of, or that this donor has
    cultures of: a time series made in six donors is not missing in the others. An assay that nobody had at a
    condition and time is not planned there; a target or measurement that fewer than half of the donors had is planned
    for those alone. How many cultures of a cell an assay takes is what most donors have: the third well may have been
    made for another assay.

    Parameters
    ----------
    tables
        Typed input tables, with the analysed donors only.
    measured
        Cultures that have a result, by assay; each readout of measurements is one.
    config
        study.yaml.

    Returns
    -------
    The output table ``completeness``.
    """
    columns = output_tables()["completeness"].columns
    cultures = cultures_of_donors(tables)
    plan = _planned_cells(cultures, tables["specimens"], tables["donors"][["donor_id", "group"]], config)
    by_cell = _by_cell(cultures)
    rows = []
    for assay, results in planned_assays(measured, config).items():
        aside = excluded(tables, assay.split(":")[0])
        done = cultures[cultures["culture_id"].isin(results)]
        usual, takers = _usual_number(done), set(done["donor_id"])
        for_all = ":" not in assay or 2 * len(takers) >= len(tables["donors"])
        for cell in plan.itertuples(index=False):
            needed = usual.get((cell.condition, cell.timepoint_h), 0)
            if (needed or not usual) and (for_all or cell.donor_id in takers):
                here = by_cell.get((cell.donor_id, cell.visit, cell.condition, cell.timepoint_h), [])
                rows.append({**cell._asdict(), "assay": assay, **_state(here, results, aside, cell.donor_id, needed)})
    return pd.DataFrame(rows, columns=columns).sort_values(
        ["donor_id", "visit", "assay", "condition", "timepoint_h"], ignore_index=True
    )


def _by_cell(cultures: pd.DataFrame) -> dict[tuple[Any, ...], list[Culture]]:
    """Code, specimen and status of the cultures of each donor, visit, condition and time."""
    cell, what = ["donor_id", "visit", "condition", "timepoint_h"], ["culture_id", "specimen_id", "status"]
    out: dict[tuple[Any, ...], list[Culture]] = {}
    known = cultures.fillna({"status": ""})
    for key, one in zip(*(known[c].itertuples(index=False, name=None) for c in (cell, what)), strict=True):
        out.setdefault(key, []).append(one)
    return out


def _usual_number(measured: pd.DataFrame) -> dict[tuple[str, float], int]:
    """Cultures that most donors have measured, by condition and time; the larger number where two are as common."""
    of_donors = measured.groupby(["donor_id", "visit", "condition", "timepoint_h"]).size()
    return {cell: int(n.mode().max()) for cell, n in of_donors.groupby(["condition", "timepoint_h"])}


def _planned_cells(
    cultures: pd.DataFrame, specimens: pd.DataFrame, donors: pd.DataFrame, config: Config
) -> pd.DataFrame:
    order = [c.code for c in config.conditions if c.has_macrophages]
    cultures = cultures[cultures["condition"].isin(order) & cultures["donor_id"].isin(donors["donor_id"])]
    pairs = cultures.groupby(["condition", "timepoint_h"])["donor_id"].nunique()
    usual = pairs[pairs * 2 >= max(len(donors), 1)].reset_index()[["condition", "timepoint_h"]]
    visits = specimens.loc[specimens["donor_id"].notna(), ["donor_id", "visit"]].drop_duplicates()
    first = donors.merge(visits.groupby("donor_id", sort=False).head(1), how="left", on="donor_id").fillna(
        {"visit": "V1"}
    )
    planned = first.merge(usual, how="cross")
    own = cultures[["donor_id", "group", "visit", "condition", "timepoint_h"]]
    return pd.concat([planned[own.columns], own]).drop_duplicates(ignore_index=True)


def _state(
    here: Sequence[Culture], results: set[str], out: AbstractSet[tuple[str, str]], donor: str, needed: int
) -> dict[str, Any]:
    if not here:
        return {"n_cultures": 0, "n_measured": 0, "status": "missing", "reason": "no_culture"}
    aside = {
        culture
        for culture, specimen, _ in here
        if not out.isdisjoint({("culture", culture), ("specimen", specimen), ("donor", donor)})
    }
    usable = [culture for culture, _, status in here if status == "ok" and culture not in aside]
    n_measured = sum(culture in results for culture in usable)
    if n_measured and n_measured >= needed:
        status, reason = "complete", ""
    else:
        status = "partial" if n_measured else "missing"
        lost = Counter(sorted(status for _, _, status in here if status not in ("ok", "")))
        reason = (
            lost.most_common(1)[0][0]
            if lost
            else "excluded"
            if aside
            else "no_culture"
            if n_measured == len(here)
            else "not_measured"
        )
    return {"n_cultures": len(usable), "n_measured": n_measured, "status": status, "reason": reason}


def participant_flow(
    donors: pd.DataFrame,
    quarantined: Iterable[tuple[str, str]],
    analysed: set[str],
    complete: pd.DataFrame,
    config: Config,
) -> pd.DataFrame:
    """Numbers of the STROBE flow; people who were never enrolled are counted in study.yaml only.

    Parameters
    ----------
    donors
        Typed input table.
    quarantined
        Kind and code of everything set aside by the checks.
    analysed
        Codes of donors whose results are used.
    complete
        The output table ``completeness``.
    config
        study.yaml.

    Returns
    -------
    The output table ``participant_flow``. Steps that were not recorded are absent, not zero.
    """
    rows: list[tuple[str, str, int, str]] = []
    screening = config.settings.get("screening") or {}
    if "screened" in screening:
        rows.append(("screened", "", screening["screened"], ""))
        rows.append(("declined", "", screening.get("declined", 0), "declined"))
        rows += [("not_eligible", "", n, reason) for reason, n in sorted(screening.get("not_eligible", {}).items())]
    aside = {code for kind, code in quarantined if kind == "donor"}
    for group in config.groups:
        own = set(donors.loc[donors["group"] == group.code, "donor_id"])
        left = own & withdrawn_donors(donors)
        rows += [
            ("enrolled", group.code, len(own), ""),
            ("withdrawn", group.code, len(left), "consent withdrawn"),
            ("set_aside", group.code, len((own & aside) - left), "set aside by the checks"),
            ("set_aside", group.code, len(own - left - aside - analysed), "excluded by a deviation"),
            ("analysed", group.code, len(own & analysed), ""),
        ]
    some = complete[complete["n_measured"] > 0]
    for assay in sorted(set(complete["assay"])):
        here = some[some["assay"] == assay]
        rows += [
            (assay, group.code, int(here.loc[here["group"] == group.code, "donor_id"].nunique()), "")
            for group in config.groups
        ]
    table = pd.DataFrame(rows, columns=["step", "group", "n", "reason"])
    order = {step: i for i, step in enumerate(STEPS)}
    table["order"] = table["step"].map(order).fillna(len(STEPS)).astype(int)
    kept = ~((table["step"].isin(["withdrawn", "set_aside"])) & (table["n"] == 0))
    return table[kept].sort_values("order", kind="stable", ignore_index=True)[
        output_tables()["participant_flow"].columns
    ]


def exclusions(tables: Tables, quarantined: Iterable[tuple[str, str]]) -> pd.DataFrame:
    """Everything that is not analysed, with the rule, who decided, and how many donors and cultures it costs.

    Parameters
    ----------
    tables
        Typed input tables.
    quarantined
        Kind and code of everything set aside by the checks.

    Returns
    -------
    The output table ``exclusions``.
    """
    specimens, cultures = tables["specimens"], tables["cultures"]
    donor_of = dict(zip(specimens["specimen_id"], specimens["donor_id"], strict=True))
    owner = cultures["specimen_id"].map(donor_of)
    behind = _cultures_behind(tables)
    rows: list[tuple[object, ...]] = []

    def add(kind: str, code: str, rule: str, by: str, blind: object) -> None:
        hit = {
            "donor": owner == code,
            "specimen": cultures["specimen_id"] == code,
            "culture": cultures["culture_id"] == code,
        }.get(kind)
        hit = cultures["culture_id"].isin(behind.get((kind, code), ())) if hit is None else hit.fillna(False)
        n_donors = 1 if kind == "donor" else int(owner[hit].nunique())
        rows.append((kind, code, rule, by, blind, n_donors, int(hit.sum())))

    gone = withdrawn_donors(tables["donors"])
    for code in sorted(gone):
        add("donor", code, "consent withdrawn", "donors", None)
    for kind, code in sorted(set(quarantined) - {("donor", code) for code in gone}):
        add(kind, code, "set aside by the checks; see problems", "checks", None)
    deviations = tables["deviations"]
    for row in deviations[deviations["decision"] == "exclude"].itertuples(index=False):
        blind = None if pd.isna(row.decided_before_unblinding) else bool(row.decided_before_unblinding)
        assay = "" if pd.isna(row.assay) else f" ({row.assay} only)"
        add(row.entity, row.entity_id, (row.code if pd.isna(row.rule) else row.rule) + assay, "deviations", blind)
    logged = set(
        deviations.loc[(deviations["entity"] == "culture") & (deviations["decision"] == "exclude"), "entity_id"]
    )
    for code, status in zip(cultures["culture_id"], cultures["status"], strict=True):
        if status != "ok" and code not in logged:
            add("culture", code, f"culture {status.replace('_', ' ')}", "cultures", None)
    return pd.DataFrame(rows, columns=output_tables()["exclusions"].columns)


def _cultures_behind(tables: Tables) -> dict[tuple[str, str], set[str]]:
    """Cultures in each plate, well and file that tables name; of a plate without a layout they are not known."""
    out: dict[tuple[str, str], set[str]] = {}

    def note(kind: str, code: object, culture: object) -> None:
        if not pd.isna(code) and not pd.isna(culture):
            out.setdefault((kind, str(code)), set()).add(str(culture))

    for file, culture in tables["phenotype/samples"][["fcs_file", "culture_id"]].itertuples(index=False):
        note("file", file, culture)
    for well, file, culture in tables["phagocytosis/wells"][["phago_id", "file", "culture_id"]].itertuples(index=False):
        note("file", file, culture)
        note("well", well, culture)
    samples = tables["cytokines/samples"]
    of_sample = dict(zip(samples["sample_id"], samples["culture_id"], strict=True))
    files = dict(tables["cytokines/plates"][["plate_id", "instrument_file"]].itertuples(index=False))
    for plate, well, sample in tables["cytokines/layout"][["plate_id", "well", "sample_id"]].itertuples(index=False):
        culture = of_sample.get(sample, pd.NA if of_sample else sample)
        for kind, code in (("plate", plate), ("well", f"{plate}:{well}"), ("file", files.get(plate, pd.NA))):
            note(kind, code, culture)
    return out
