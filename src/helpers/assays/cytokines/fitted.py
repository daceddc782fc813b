"""One plate through its standard curves: blanks, fits, recoveries, working range, concentrations of wells.

Wells come in with their roles already known; nothing here knows a donor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from helpers.assays.cytokines.curve_checks import falling_standards, outlying_standards
from helpers.assays.cytokines.curve_fit import CurveFits, choose_model, chosen, fit_curves, response_variance
from helpers.assays.cytokines.curves import concentration_se, invert, recovery_pct, response
from helpers.assays.cytokines.limits import detection_limit, working_range

WELLS = (
    "well",
    "analyte",
    "role",
    "level",
    "sample_id",
    "dilution",
    "expected",
    "mfi",
    "net_mfi",
    "use",
    "vendor_recovery_pct",
)
UNUSABLE = ("flat", "too_few_levels", "impossible")
"""What a fit can be that gives no working range."""


@dataclass(frozen=True)
class Rules:
    """How a plate is judged; the settings of study.yaml under ``cytokines``."""

    weights: str = "bioplex"
    model: str = "auto"
    recovery_low_pct: float = 80
    recovery_high_pct: float = 120
    end_recovery_low_pct: float | None = None
    end_recovery_high_pct: float | None = None
    cv_max_pct: float = 20
    lod_sd: float = 3
    lod_blanks_min: int = 6
    apply_bridging: bool = False

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Rules:
        """The rules of a study.yaml with its defaults filled in."""
        return cls(**settings.get("cytokines", {}))


@dataclass(frozen=True)
class FittedPlate:
    """What the curves of one plate say.

    Parameters
    ----------
    curves
        One row an analyte: columns of the output table ``cytokine_curves`` without plate_id and vendor_diff_pct.
    recovery
        One row an analyte and standard level: columns of ``standard_recovery`` without plate_id.
    wells
        The wells that came in, with net_mfi less the plate's own blanks, and conc_pg_ml, conc_se (times the
        dilution) and state.
    fits
        The chosen curves, in the order of `curves`.
    """

    curves: pd.DataFrame
    recovery: pd.DataFrame
    wells: pd.DataFrame
    fits: CurveFits

    def concentrations(self, means: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Concentrations and standard errors of mean responses, on the scale of the standards.

        Parameters
        ----------
        means
            One row a mean: analyte, net_mfi, mfi (before the blank; NaN where it is not known), n_wells.
        """
        order = {a: i for i, a in enumerate(self.curves["analyte"])}
        k = means["analyte"].map(order).to_numpy(dtype=np.int64)
        net = means["net_mfi"].to_numpy(dtype="float64")
        raw = means["mfi"].fillna(means["net_mfi"]).to_numpy(dtype="float64")
        fits, wells = _rows_of(self.fits, k), means["n_wells"].to_numpy(dtype="float64")
        conc, _ = invert(fits.parameters, net)
        variance = response_variance(fits, net[:, None], raw[:, None], wells[:, None])[:, 0]
        return conc, concentration_se(fits.parameters, fits.covariance, net, variance)


def _rows_of(fits: CurveFits, k: np.ndarray) -> CurveFits:
    """The fits of the analytes numbered `k`, repeats allowed."""
    taken: dict[str, Any] = {f.name: getattr(fits, f.name) for f in fields(CurveFits)}
    return CurveFits(**{n: v[k] if isinstance(v, np.ndarray) else v for n, v in taken.items()})


def fit_plate(wells: pd.DataFrame, rules: Rules, suspect: Mapping[str, str] | None = None) -> FittedPlate:
    """Fit every analyte of a plate and put every well through its curve.

    Parameters
    ----------
    wells
        Columns of `WELLS`, one row a well (or vendor's average) and analyte: role and level known, `dilution`
        filled in, `expected` the concentration of standards in pg/ml, `use` false where a well was set aside.
    rules
        From study.yaml.
    suspect
        Analytes whose standard series cannot be right, with the sentence that says so: they get no curve.
    """
    suspect = suspect or {}
    wells, blanks = with_net(wells.reset_index(drop=True))
    analytes = list(dict.fromkeys(wells["analyte"]))
    standards = wells[(wells["role"] == "standard") & wells["use"] & (wells["expected"] > 0) & wells["net_mfi"].notna()]
    standards = standards[~standards["analyte"].isin(list(suspect))]
    x, y, raw = _side_by_side(standards, analytes)
    fits = _fits(x, y, raw, rules)
    levels = _levels(standards, analytes, fits)
    limits = pd.DataFrame([_limits(a, i, fits, levels, blanks, rules) for i, a in enumerate(analytes)])
    curves = _curves(analytes, fits, limits, blanks, suspect)
    outlying = outlying_standards(x, y, fits, raw)
    outlying = outlying[outlying["outlying"].astype(bool)]
    falls = falling_standards(x, y, blanks["blank_sd"].reindex(analytes).fillna(0.0))
    curves["note"] = _notes(curves, fits, outlying, falls, suspect)
    recovery = _recovery(levels, curves, outlying)
    plate = FittedPlate(curves, recovery, wells, fits)
    return FittedPlate(curves, recovery, _measured(plate, wells), fits)


def with_net(wells: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Net MFI less the mean of the plate's used blank wells, as the vendors do; without blanks what the file gives.

    Parameters
    ----------
    wells
        Columns of `WELLS`; `net_mfi` as printed, NaN where it is not.

    Returns
    -------
    The wells, and the blanks: one row an analyte with blank_mfi, blank_sd and n_blanks.
    """
    blank = wells[(wells["role"] == "blank") & wells["use"] & wells["mfi"].notna()]
    grouped = blank.groupby("analyte", sort=False)["mfi"]
    blanks = pd.DataFrame({"blank_mfi": grouped.mean(), "blank_sd": grouped.std(ddof=1), "n_blanks": grouped.size()})
    own = wells["mfi"] - wells["analyte"].map(blanks["blank_mfi"]).astype("float64")
    printed = wells["net_mfi"].where(wells["net_mfi"].notna(), wells["mfi"])
    return wells.assign(net_mfi=own.where(own.notna(), printed)), blanks


def _fits(x: np.ndarray, y: np.ndarray, raw: np.ndarray, rules: Rules) -> CurveFits:
    if rules.model != "auto":
        return fit_curves(x, y, rules.model, rules.weights, raw)  # type: ignore[arg-type]
    four, five = (fit_curves(x, y, model, rules.weights, raw) for model in ("4pl", "5pl"))  # type: ignore[arg-type]
    return chosen(four, five, choose_model(four, five))


def _side_by_side(standards: pd.DataFrame, analytes: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Standards of each analyte in a row, padded with NaN: expected, net and raw responses."""
    at = standards.groupby("analyte").cumcount().to_numpy(dtype=np.int64)
    row = standards["analyte"].map({a: i for i, a in enumerate(analytes)}).to_numpy(dtype=np.int64)
    out = np.full((3, len(analytes), int(at.max()) + 1 if len(at) else 1), np.nan)
    raw = standards["mfi"].fillna(standards["net_mfi"])
    for part, values in zip(out, (standards["expected"], standards["net_mfi"], raw), strict=True):
        part[row, at] = values.to_numpy(dtype="float64")
    return out[0], out[1], out[2]


def _levels(standards: pd.DataFrame, analytes: list[str], fits: CurveFits) -> pd.DataFrame:
    """Standards averaged by level on net MFI, with their recovery from the curve."""
    grouped = standards.groupby(["analyte", "level", "expected"], sort=False)
    levels = grouped.agg(
        n_wells=("net_mfi", "size"),
        mean_net_mfi=("net_mfi", "mean"),
        mean_mfi=("mfi", "mean"),
        sd=("net_mfi", "std"),
        vendor_recovery_pct=("vendor_recovery_pct", "mean"),
    ).reset_index()
    levels["cv_pct"] = 100 * levels["sd"] / levels["mean_net_mfi"].abs()
    k = levels["analyte"].map({a: i for i, a in enumerate(analytes)}).to_numpy(dtype=np.int64)
    net, expected = levels["mean_net_mfi"].to_numpy(dtype="float64"), levels["expected"].to_numpy(dtype="float64")
    levels["back_calculated_pg_ml"], _ = invert(fits.parameters[k], net)
    levels["recovery_pct"] = recovery_pct(fits.parameters[k], expected, net)
    return levels.sort_values(["analyte", "expected"], ignore_index=True)


def _limits(
    analyte: str, i: int, fits: CurveFits, levels: pd.DataFrame, blanks: pd.DataFrame, rules: Rules
) -> dict[str, Any]:
    """LOD and working range of one analyte on the scale of the standards."""
    own = levels[levels["analyte"] == analyte]
    blank = blanks.loc[analyte] if analyte in blanks.index else None
    lod = np.nan if blank is None else detection_limit(fits.parameters[i], float(blank["blank_sd"]), rules.lod_sd)
    lod_used = bool(np.isfinite(lod)) and blank is not None and int(blank["n_blanks"]) >= rules.lod_blanks_min
    usable = fits.status[i] not in UNUSABLE
    low, high = working_range(own, rules, lod if lod_used else 0.0) if usable else (np.nan, np.nan)
    return {"lod_pg_ml": lod, "lod_used": lod_used, "lloq_pg_ml": low, "uloq_pg_ml": high}


def _curves(
    analytes: list[str], fits: CurveFits, limits: pd.DataFrame, blanks: pd.DataFrame, suspect: Mapping[str, str]
) -> pd.DataFrame:
    curves = pd.DataFrame({"analyte": analytes, "model": fits.model})
    for j, name in enumerate("adcbg"):
        curves[name] = fits.parameters[:, j]
    curves = curves.assign(
        weighting=fits.weighting,
        objective=fits.objective,
        n_starts=fits.n_starts,
        n_agree=fits.n_reached,
        identifiable=fits.identifiable,
        n_standards=fits.n_points,
        n_levels=fits.n_levels,
        **{c: limits[c].to_numpy() for c in limits},
    )
    curves = curves.merge(blanks[["blank_mfi", "n_blanks"]], left_on="analyte", right_index=True, how="left")
    curves["n_blanks"] = curves["n_blanks"].fillna(0).astype(int)
    status = pd.Series(fits.status)
    no_range = curves["lloq_pg_ml"].isna() & ~status.isin(UNUSABLE)
    curves["status"] = status.mask(no_range, "no_range").mask(
        curves["analyte"].isin(list(suspect)), "standards_suspect"
    )
    curves.loc[curves["status"].isin(["standards_suspect", "too_few_levels", "impossible"]), "model"] = None
    return curves


def _recovery(levels: pd.DataFrame, curves: pd.DataFrame, outlying: pd.DataFrame) -> pd.DataFrame:
    limits = curves.set_index("analyte")
    low, high = (levels["analyte"].map(limits[c]).astype("float64") for c in ("lloq_pg_ml", "uloq_pg_ml"))
    out = levels.rename(columns={"expected": "expected_pg_ml"})
    out["in_range"] = (levels["expected"] >= low) & (levels["expected"] <= high)
    names = outlying["curve"].map(dict(enumerate(curves["analyte"]))).astype("string")
    apart = pd.DataFrame(
        {
            "analyte": names,
            "expected_pg_ml": outlying["expected"].astype("float64"),
            "outlying": True,
            "recovery_without_pct": outlying["recovery_without_pct"].astype("float64"),
        }
    )
    out = out.merge(apart, on=["analyte", "expected_pg_ml"], how="left")
    out["outlying"] = out["outlying"].eq(True)
    return out.drop(columns=["sd", "mean_mfi"])


def _notes(
    curves: pd.DataFrame, fits: CurveFits, outlying: pd.DataFrame, falls: pd.DataFrame, suspect: Mapping[str, str]
) -> list[str]:
    """What a reader must know of each curve, as sentences."""
    out = []
    for i, analyte in enumerate(curves["analyte"]):
        if analyte in suspect:
            out.append(suspect[analyte])
            continue
        said = [str(fits.reason[i])]
        own = outlying[outlying["curve"] == i]
        if len(own):
            levels = ", ".join(f"{e:.4g} pg/ml" for e in own["expected"])
            said.append(f"Standards apart from the curve through the others, kept in the fit: {levels}.")
        hook = falls[(falls["curve"] == i) & falls["hook"].astype(bool)]
        if len(hook):
            said.append("The response falls at the highest standards beyond noise: a hook, or a spoilt standard.")
        elif (falls["curve"][falls["beyond_noise"].astype(bool)] == i).any():
            said.append("The response falls between standards beyond noise.")
        if curves["status"].iloc[i] == "no_range":
            said.append("No two neighbouring standards come back as they should, so there is no working range.")
        out.append(" ".join(filter(None, said)))
    return out


def _measured(plate: FittedPlate, wells: pd.DataFrame) -> pd.DataFrame:
    """Every well's concentration and what kind of number it is."""
    conc, se = plate.concentrations(wells.assign(n_wells=wells["well"].str.count(",") + 1))
    state = states(plate.curves, wells, conc)
    shown = np.isin(state, ["measured", "detected_below_lloq", "extrapolated"])
    dilution = wells["dilution"].to_numpy(dtype="float64")
    return wells.assign(
        conc_pg_ml=np.where(shown, conc * dilution, np.nan), conc_se=np.where(shown, se * dilution, np.nan), state=state
    )


def states(curves: pd.DataFrame, wells: pd.DataFrame, conc: np.ndarray) -> np.ndarray:
    """What each concentration is, told on the scale of the standards.

    Parameters
    ----------
    curves
        From `FittedPlate`.
    wells
        analyte, net_mfi and use of each.
    conc
        Concentration before dilution, NaN outside the asymptotes.

    Returns
    -------
    measured within the working range; below it detected_below_lloq from a LOD that is used upward, else
    extrapolated where the curve still reaches and below where it does not; above it extrapolated or above;
    excluded where a well is set aside; not_available without a response or a working range.
    """
    own = curves.set_index("analyte").reindex(wells["analyte"])
    low, high, lod = (own[c].to_numpy(dtype="float64") for c in ("lloq_pg_ml", "uloq_pg_ml", "lod_pg_ml"))
    parameters = own[list("adcbg")].to_numpy(dtype="float64")
    net = wells["net_mfi"].to_numpy(dtype="float64")
    lod_used = own["lod_used"].to_numpy(dtype=bool)
    with np.errstate(invalid="ignore"):
        under = net < response(parameters, low)
        over = net > response(parameters, high)
        reached = np.isfinite(conc) & (conc > 0)
        return np.select(
            [
                ~wells["use"].to_numpy(dtype=bool),
                np.isnan(net) | np.isnan(low),
                under & lod_used & reached & (conc >= lod),
                under & (lod_used | ~reached),
                over & ~reached,
                under | over,
            ],
            ["excluded", "not_available", "detected_below_lloq", "below", "above", "extrapolated"],
            default="measured",
        )
