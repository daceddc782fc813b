"""Cytokines from the instruments' plates to readouts, with everything a reader needs to trust or doubt them."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

import numpy as np
import pandas as pd

from helpers.assays.cytokines import quality
from helpers.assays.cytokines.curves import response
from helpers.assays.cytokines.fitted import FittedPlate, Rules, fit_plate
from helpers.assays.cytokines.reading import JoinedPlate, read_plates
from helpers.assays.cytokines.values import sample_values
from helpers.assays.steps import Assayed
from helpers.core.cache import digest_of, remember
from helpers.core.schemas import output_tables
from helpers.study.config import Config

ASSAY, PER_CELL = "cytokines", "cytokines_per_cell"
GM_CSF = frozenset({"gm-csf", "gmcsf", "csf2"})
TABLES = (
    "cytokine_curves",
    "cytokine_wells",
    "cytokine_values",
    "standard_recovery",
    "plate_controls",
    "plate_bridges",
)


def cytokines(
    folder: Path, tables: Mapping[str, pd.DataFrame], quarantined: AbstractSet[tuple[str, str]], config: Config
) -> Assayed:
    """All plates and all results computed elsewhere, as output tables and as wells for the steps to readouts.

    Parameters
    ----------
    folder, tables, quarantined, config
        As in `read_plates`.
    """
    rules = Rules.from_settings(config.settings)
    plates, problems = read_plates(folder, tables, quarantined, config)
    fitted = [_fitted(_digest(p, rules), p.wells, rules, p.unusable) for p in plates]
    ids = [str(p.row["plate_id"]) for p in plates]
    spikes = quality.spikes_of(tables)
    per_plate = {i: quality.with_spikes(sample_values(f, rules), spikes) for i, f in zip(ids, fitted, strict=True)}
    bridges = quality.bridges(per_plate, plates, rules)
    values = pd.concat(
        [_named(i, quality.bridged(v, i, bridges), tables) for i, v in per_plate.items()] + [elsewhere(tables, config)]
    )
    values, doubled = quality.superseded(values, tables)
    values = values.assign(qc=_marked(values, tables, config))
    out = {
        "cytokine_curves": stacked(ids, [with_vendor(f.curves, p) for f, p in zip(fitted, plates, strict=True)]),
        "cytokine_wells": stacked(ids, [wells_table(f.wells) for f in fitted]),
        "cytokine_values": values,
        "standard_recovery": stacked(ids, [f.recovery for f in fitted]),
        "plate_controls": quality.plate_controls(per_plate, plates, spikes),
        "plate_bridges": bridges,
    }
    counted = values[values["censoring"].notna()] if len(values) else values
    return Assayed(
        ASSAY,
        readout_wells(values, tables, config),
        {ASSAY: set(counted["culture_id"].dropna())} if len(counted) else {},
        {name: typed(out[name], name) for name in TABLES},
        (*problems, *doubled),
    )


@remember("assays", ignore=("wells", "rules", "unusable"))
def _fitted(digest: str, wells: pd.DataFrame, rules: Rules, unusable: Mapping[str, str]) -> FittedPlate:
    return fit_plate(wells, rules, unusable)


def _digest(plate: JoinedPlate, rules: Rules) -> str:
    rows = pd.util.hash_pandas_object(plate.wells, index=False).to_numpy()
    return digest_of([repr([*plate.wells]), rows.tobytes(), repr(rules), repr(sorted(plate.unusable.items()))])


def stacked(ids: list[str], parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Tables of single plates one below the other, each with its plate_id."""
    named = [part.assign(plate_id=i) for i, part in zip(ids, parts, strict=True)]
    return pd.concat(named) if named else pd.DataFrame()


def typed(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """A table with the columns and types of an output table; what lacks is empty."""
    kinds = {"string": "string", "integer": "Int64", "number": "float64", "boolean": "boolean"}
    schema = output_tables()[name]
    return (
        table.reindex(columns=schema.columns)
        .astype({f.name: kinds[f.type] for f in schema.fields})
        .reset_index(drop=True)
    )


def wells_table(wells: pd.DataFrame) -> pd.DataFrame:
    """Fitted wells as the output table ``cytokine_wells`` without plate_id, ours beside the vendor's."""
    ours, vendor = wells["conc_pg_ml"], wells["vendor_conc_pg_ml"]
    level = wells["role"].str.cat(wells["level"].astype("string"), sep=" ").where(wells["role"] == "standard")
    return wells.assign(
        sample_id=wells["sample_id"].fillna(level),
        vendor_diff_pct=100 * (ours - vendor) / vendor.where(vendor > 0),
        qc=wells["flags"],
    )


def with_vendor(curves: pd.DataFrame, plate: JoinedPlate) -> pd.DataFrame:
    """Our curve against the printed one over the plate's standards: the largest difference in percent."""
    printed = plate.plate.curves.dropna(subset=["a", "d", "c", "b"]).drop_duplicates("analyte").set_index("analyte")
    theirs_of = dict(zip(printed.index, printed[[*"adcbg"]].astype("float64").fillna(1.0).to_numpy(), strict=True))
    standards = plate.wells[(plate.wells["role"] == "standard") & (plate.wells["expected"] > 0)]
    levels = {a: own.to_numpy(dtype="float64") for a, own in standards.groupby("analyte")["expected"]}
    out = []
    for one in curves.itertuples():
        x = levels.get(one.analyte)
        if one.analyte not in theirs_of or pd.isna(one.a) or x is None:
            out.append(np.nan)
            continue
        theirs = response(theirs_of[one.analyte], x)
        ours = response(np.array([one.a, one.d, one.c, one.b, one.g]), x)
        with np.errstate(divide="ignore", invalid="ignore"):
            out.append(float(np.nanmax(np.abs(100 * (ours - theirs) / theirs))))
    return curves.assign(vendor_diff_pct=out)


# ---- values of the study


def _named(plate_id: str, values: pd.DataFrame, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Values of samples with the culture or specimen they come from; controls and spikes stand in their own table."""
    own = values[~values["role"].isin(["control", "spike"])].assign(plate_id=plate_id)
    samples = tables["cytokines/samples"]
    if len(samples):
        return own.merge(samples[["sample_id", "culture_id", "specimen_id", "matrix"]], on="sample_id", how="left")
    cultures = set(tables["cultures"]["culture_id"])
    culture = own["sample_id"].where(own["sample_id"].isin(cultures))
    return own.assign(
        culture_id=culture, specimen_id=pd.NA, matrix=culture.notna().map({True: "supernatant", False: pd.NA})
    )


def elsewhere(tables: Mapping[str, pd.DataFrame], config: Config) -> pd.DataFrame:
    """Results computed elsewhere (cytokines/concentrations): replicates averaged on the log scale, limits as bounds.

    Where a replicate is a bound, so is the value: the mean of the replicates' bounds.
    """
    rows = tables["cytokines/concentrations"]
    if rows.empty:
        return pd.DataFrame()
    conc, kind = rows["conc_pg_ml"], rows["qualifier"].fillna("=")
    below = (kind == "<") | (conc < rows["lloq_pg_ml"])
    above = (kind == ">") | (conc > rows["uloq_pg_ml"])
    upper = conc.mask(below, rows["lloq_pg_ml"].fillna(conc)).mask(above, np.inf)
    lower = conc.mask(above, rows["uloq_pg_ml"].fillna(conc)).mask(below, 0.0)
    with np.errstate(divide="ignore"):
        logs = rows.assign(low=np.log(lower), high=np.log(upper), conc=conc.mask(below | above))
    logs = logs[upper.notna() & lower.notna()]
    grouped = logs.groupby(["sample_id", "analyte"], sort=False)
    out = grouped.agg(
        low=("low", "mean"),
        high=("high", "mean"),
        n_wells=("low", "size"),
        mean=("conc", "mean"),
        sd=("conc", "std"),
        lloq_pg_ml=("lloq_pg_ml", "max"),
        uloq_pg_ml=("uloq_pg_ml", "min"),
    ).reset_index()
    low, high = np.exp(out["low"]), np.exp(out["high"])
    exact = np.isclose(low, high)
    out = out.assign(
        conc_pg_ml=low.where(exact),
        lower=low.where(~exact & (low > 0)),
        upper=high.where(~exact & np.isfinite(high)),
        censoring=np.select([exact, ~(low > 0), ~np.isfinite(high)], ["none", "left", "right"], default="interval"),
        cv_pct=100 * out["sd"] / out["mean"],
        n_dilutions=1,
        role="sample",
        qc="",
    )
    return _named("", out, tables).assign(plate_id=pd.NA)


def _marked(values: pd.DataFrame, tables: Mapping[str, pd.DataFrame], config: Config) -> pd.Series:
    """Flags of values whose meaning is in doubt: made by MSC too, or hidden by the donor's antibodies."""
    if values.empty:
        return pd.Series(dtype="string")
    analytes = tables["cytokines/analytes"]
    secreted = set(analytes.loc[analytes["msc_secreted"].fillna(False).astype(bool), "analyte"])
    both = {c.code for c in config.conditions if c.has_msc and c.has_macrophages}
    cultures = tables["cultures"].merge(tables["specimens"][["specimen_id", "donor_id"]], on="specimen_id", how="left")
    cultures = cultures.merge(tables["donors"][["donor_id", "group"]], on="donor_id", how="left").set_index(
        "culture_id"
    )
    condition, group = (values["culture_id"].map(cultures[c]) for c in ("condition", "group"))
    ambiguous = values["analyte"].isin(secreted) & condition.isin(both)
    hidden = values["analyte"].str.casefold().isin(GM_CSF) & group.isin(config.groups_of("disease"))
    marks = zip(
        values["qc"].fillna(""),
        ambiguous.map({True: "source_ambiguous", False: ""}),
        hidden.map({True: "antibody_interference", False: ""}),
        strict=True,
    )
    return pd.Series([";".join(filter(None, m)) for m in marks], index=values.index, dtype="string")


def readout_wells(values: pd.DataFrame, tables: Mapping[str, pd.DataFrame], config: Config) -> pd.DataFrame:
    """Values of cultures as wells for `steps.readouts`: in pg/ml, and per million live macrophages where counted.

    Amount per cell: concentration × volume of the culture, divided by its live macrophages at the end.
    """
    if values.empty:
        return pd.DataFrame()
    plates = tables["cytokines/plates"].set_index("plate_id")
    used = values[values["culture_id"].notna() & values["censoring"].notna() & ~values["qc"].str.contains("superseded")]
    kits = used["plate_id"].map({plate: kit_of(row) for plate, row in plates.iterrows()}).fillna("")
    exact = used["censoring"] == "none"
    wells = pd.DataFrame(
        {
            "culture_id": used["culture_id"],
            "assay": ASSAY,
            "readout": used["analyte"],
            "unit": "pg/ml",
            "lower": used["conc_pg_ml"].where(exact, used["lower"]),
            "upper": used["conc_pg_ml"].where(exact, used["upper"]),
            "lloq": used["lloq_pg_ml"],
            "run_id": used["plate_id"],
            "comparability": kits,
            "qc": used["qc"],
        }
    )
    cultures = tables["cultures"].set_index("culture_id")
    factor = cultures["volume_ul"].astype("float64") / 1000 / cultures["live_am_end"].astype("float64") * 1e6
    per = wells["culture_id"].map(factor.where(np.isfinite(factor)))
    by_cell = wells.assign(
        assay=PER_CELL, unit="pg per 1e6 live AM", **{c: wells[c] * per for c in ("lower", "upper", "lloq")}
    )[per.notna()]
    return pd.concat([wells, by_cell], ignore_index=True).assign(scale=lambda w: _scales(w, config))


LUMINEX = frozenset({"luminex_xponent", "luminex_intelliflex", "bioplex"})


def kit_of(plate: pd.Series) -> str:
    """What values must share to be compared: the kit and the kind of beads, not the instrument that read them.

    Examples
    --------
    >>> kit_of(pd.Series({"platform": "bioplex", "kit": "Panel 30"})), kit_of(pd.Series({"platform": None, "kit": None}))
    ('luminex Panel 30', '')
    """
    platform = "luminex" if plate["platform"] in LUMINEX else plate["platform"]
    return " ".join(str(v) for v in (platform, plate["kit"]) if not pd.isna(v))


def _scales(wells: pd.DataFrame, config: Config) -> pd.Series:
    planned = {(r["assay"], r["name"]): r["scale"] for r in config.settings.get("readouts", ()) if "scale" in r}
    return pd.Series(
        [planned.get((a, r), "log2") for a, r in zip(wells["assay"], wells["readout"], strict=True)],
        index=wells.index,
        dtype="string",
    )
