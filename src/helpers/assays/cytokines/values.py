"""Wells of samples → one value a sample and analyte, with what lies beyond a limit carried as a bound.

Replicate wells are averaged on net MFI and inverted once, as the vendors do; the mean of concentrations would
lean toward the noisier well.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from helpers.assays.cytokines.fitted import FittedPlate, Rules

DISAGREE = 1.3
"""Two dilutions of one sample that differ by more than this factor are flagged."""
KEY = ["sample_id", "analyte"]
VALUES = [
    *KEY,
    "role",
    "conc_pg_ml",
    "lower",
    "upper",
    "censoring",
    "conc_se",
    "lloq_pg_ml",
    "uloq_pg_ml",
    "cv_pct",
    "n_wells",
    "n_dilutions",
    "qc",
]


def sample_values(plate: FittedPlate, rules: Rules) -> pd.DataFrame:
    """Values of all samples of one plate.

    Parameters
    ----------
    plate
        Fitted; wells of role sample, bridge or control that are used count.
    rules
        From study.yaml.

    Returns
    -------
    One row a sample and analyte: role, conc_pg_ml (NaN for bounds), lower, upper (NaN where open), censoring,
    conc_se, lloq_pg_ml, uloq_pg_ml, cv_pct, n_wells, n_dilutions, qc, all on the scale of the sample. Between
    a LOD that is used and the LLOQ the value is that interval, below the LOD it is bounded by it, and without
    one by the LLOQ, even where the curve extrapolates.
    """
    wells = plate.wells[plate.wells["sample_id"].notna() & plate.wells["role"].isin(["sample", "bridge", "control"])]
    used = wells[wells["use"] & wells["net_mfi"].notna()]
    means = _means(used, rules)
    means["conc"], means["se"] = plate.concentrations(means)
    means = _bounds(means, plate.curves)
    out = _over_dilutions(means)
    nothing = wells[[*KEY, "role"]].drop_duplicates(KEY)
    out = nothing.merge(out.drop(columns="role"), on=KEY, how="left")
    out["n_wells"] = out["n_wells"].fillna(0).astype(int)
    return out


def _means(used: pd.DataFrame, rules: Rules) -> pd.DataFrame:
    """Wells of one sample, analyte and dilution averaged on net MFI."""
    own = used.assign(printed=used["well"].str.count(",") + 1, low=used["flags"].str.contains("low_beads"))
    grouped = own.groupby([*KEY, "dilution"], sort=False)
    means = grouped.agg(
        role=("role", "first"),
        net_mfi=("net_mfi", "mean"),
        mfi=("mfi", "mean"),
        sd=("net_mfi", "std"),
        n_wells=("printed", "sum"),
        low_beads=("low", "any"),
    ).reset_index()
    means["cv_pct"] = 100 * means["sd"] / means["net_mfi"].abs()
    means["high_cv"] = means["cv_pct"] > rules.cv_max_pct
    return means


def _bounds(means: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """Lower and upper of each mean on the scale of the sample; equal where measured, NaN where open."""
    own = curves.set_index("analyte").reindex(means["analyte"])
    low, high, lod = (own[c].to_numpy(dtype="float64") for c in ("lloq_pg_ml", "uloq_pg_ml", "lod_pg_ml"))
    lod = np.where(own["lod_used"].to_numpy(dtype=bool), lod, np.nan)
    conc, dilution = means["conc"].to_numpy(dtype="float64"), means["dilution"].to_numpy(dtype="float64")
    top = _response_is_high(means, own)
    with np.errstate(invalid="ignore"):
        over = (conc > high) | (np.isnan(conc) & top)
        under = ~over & ((conc < low) | np.isnan(conc))
        between = under & (conc >= lod)
        below_lod = under & np.isfinite(lod) & ~between
        lower = np.select([over, between, under], [high, lod, np.nan], default=conc)
        upper = np.select([over, between, below_lod, under], [np.nan, low, lod, low], default=conc)
    known = np.isfinite(low)
    return means.assign(
        lower=np.where(known, lower, np.nan) * dilution,
        upper=np.where(known, upper, np.nan) * dilution,
        known=known,
        conc_se=np.where(known & ~under & ~over, means["se"], np.nan) * dilution,
        lloq_pg_ml=low * dilution,
        uloq_pg_ml=high * dilution,
    )


def _response_is_high(means: pd.DataFrame, own: pd.DataFrame) -> np.ndarray:
    """Whether a response without a concentration lies at the upper plateau, not at the lower one."""
    middle = (own["a"].to_numpy(dtype="float64") + own["d"].to_numpy(dtype="float64")) / 2
    return np.asarray(means["net_mfi"].to_numpy(dtype="float64") > middle)


def _over_dilutions(means: pd.DataFrame) -> pd.DataFrame:
    """One row a sample and analyte: dilutions in range are averaged on the log scale, bounds are cut together."""
    several = means.duplicated(KEY, keep=False)
    one, more = means[~several], means[several]
    rows = pd.DataFrame([_combined(part) for _, part in more.groupby(KEY, sort=False)])
    return pd.concat([_single(one), rows], ignore_index=True).reindex(columns=VALUES)


def _single(means: pd.DataFrame) -> pd.DataFrame:
    """Samples of one dilution as they are."""
    seen = means["lower"] == means["upper"]
    low, high = means["lower"].notna(), means["upper"].notna()
    kind = np.select([~means["known"], seen, low & high, high], ["", "none", "interval", "left"], default="right")
    marks = zip(means["low_beads"], means["high_cv"], ~means["known"], strict=True)
    names = ("low_beads", "high_cv", "no_curve")
    return means.assign(
        conc_pg_ml=means["lower"].where(seen),
        lower=means["lower"].mask(seen),
        upper=means["upper"].mask(seen),
        censoring=pd.Series(kind, index=means.index).replace("", None),
        n_dilutions=1,
        qc=[";".join(n for n, m in zip(names, ms, strict=True) if m) for ms in marks],
    )


def _combined(part: pd.DataFrame) -> dict[str, object]:
    """Dilutions of one sample: those in the working range decide; without one, what their bounds leave together.

    Observed dilutions are averaged on the log scale by their number of wells. Bounds that contradict each other
    (above 500 at one dilution, below 300 at the other) are not reconciled: the value is then only known to lie
    between the outermost of them, and is flagged.
    """
    known = part[part["known"]]
    flags = [f for f in ("low_beads", "high_cv") if part[f].any()]
    out: dict[str, object] = {c: part[c].iloc[0] for c in (*KEY, "role")}
    out |= {"n_wells": int(part["n_wells"].sum()), "n_dilutions": len(part), "cv_pct": part["cv_pct"].max()}
    if known.empty:
        return out | {"qc": ";".join([*flags, "no_curve"])}
    seen = known[known["lower"] == known["upper"]]
    best = seen if len(seen) else known
    out |= {"lloq_pg_ml": best["lloq_pg_ml"].min(), "uloq_pg_ml": best["uloq_pg_ml"].max()}
    if len(seen):
        weight = seen["n_wells"] / seen["n_wells"].sum()
        value = float(np.exp((weight * np.log(seen["lower"])).sum()))
        relative = float(np.sqrt((weight**2 * (seen["conc_se"] / seen["lower"]) ** 2).sum()))
        if seen["lower"].max() > DISAGREE * seen["lower"].min() or _contradicts(known, value):
            flags.append("dilutions_disagree")
        out |= {"conc_pg_ml": value, "censoring": "none", "conc_se": value * relative}
        return out | {"qc": ";".join(flags)}
    lower, upper = known["lower"].max(), known["upper"].min()
    if lower > upper:
        flags.append("dilutions_disagree")
        lower, upper = sorted((float(known["lower"].min()), float(known["upper"].max())))
    kind = "interval" if np.isfinite(lower) and np.isfinite(upper) else "left" if np.isfinite(upper) else "right"
    return out | {"lower": lower, "upper": upper, "censoring": kind, "qc": ";".join(flags)}


def _contradicts(known: pd.DataFrame, value: float) -> bool:
    """Whether a bound from another dilution excludes the value by more than the allowed factor."""
    bounded = known[known["lower"] != known["upper"]]
    return bool((bounded["lower"] > DISAGREE * value).any() or (bounded["upper"] * DISAGREE < value).any())
