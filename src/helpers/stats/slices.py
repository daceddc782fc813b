"""From the table of readouts to the values of one comparison: one row a donor and arm on the scale of analysis."""

from __future__ import annotations

from copy import copy

import numpy as np
import pandas as pd

from helpers.stats.estimate import NotEstimable

COLUMNS = (
    "value",
    "lower",
    "upper",
    "detected",
    "half",
    "k",
    "n",
    "n_cultures",
    "sd_culture",
    "comparability",
    "run_id",
    "batch_day",
    "msc_lot_id",
)


def plain(table: pd.DataFrame) -> pd.DataFrame:
    """The same rows in NumPy's types, which a thousand small comparisons take apart several times faster.

    Examples
    --------
    >>> plain(pd.DataFrame({"n": pd.array([1, None], "Int64"), "qc": pd.array(["a", None], "string")})).dtypes.tolist()
    [dtype('float64'), dtype('O')]
    """
    extension = {c: kind for c, kind in table.dtypes.items() if pd.api.types.is_extension_array_dtype(kind)}
    kinds = {c: "float64" if pd.api.types.is_numeric_dtype(kind) else "object" for c, kind in extension.items()}
    changed = table.astype(kinds)
    words = [c for c, kind in kinds.items() if kind == "object"]
    changed[words] = changed[words].where(changed[words].notna(), None)
    changed.attrs = {}  # pandas copies them with every row and column it takes
    return changed


def on_scale(readouts: pd.DataFrame) -> pd.DataFrame:
    """Values and bounds on the scale of analysis, in the columns value, lower, upper, detected and half.

    Parameters
    ----------
    readouts
        Rows of one readout of the output table ``readouts``, of one scale.

    Returns
    -------
    The same rows. An observed value has lower = upper = value; an open side is −∞ or ∞; a bounded value has no
    value. Counts on the logit scale enter as (k + ½)/(n + 1), so that 0 and 100 % stay finite. `detected`: the
    value is known to lie above something, so all but what is below its lower limit. `half`: the value, half of
    the upper bound (taken in the unit of the readout, then to the scale; not below the lower bound), or the
    lower bound where that is all there is.

    Raises
    ------
    NotEstimable
        ``wrong_scale`` where an observed value cannot be taken to the scale.
    """
    frame = readouts.copy()
    scale = str(frame["scale"].iloc[0]) if len(frame) else "identity"
    observed = (frame["censoring"] == "none").fillna(True).to_numpy(dtype=bool)
    value = frame["value"].to_numpy(dtype="float64", na_value=np.nan)
    lower = frame["lower"].to_numpy(dtype="float64", na_value=np.nan)
    upper = frame["upper"].to_numpy(dtype="float64", na_value=np.nan)
    half = np.where(np.isnan(upper), lower, np.fmax(np.minimum(upper / 2, upper), lower))
    if scale == "log2":
        if (value[observed] <= 0).any():
            raise NotEstimable(
                "wrong_scale", "A value of zero or below has no logarithm; bound it or change the scale."
            )
        value, lower, upper, half = (_log2(v) for v in (value, np.where(lower <= 0, np.nan, lower), upper, half))
    elif scale == "logit":
        value = _logit(frame, value, observed)
        lower, upper, half = (_plain_logit(_share(frame, v)) for v in (lower, upper, half))
    frame["value"] = np.where(observed, value, np.nan)
    frame["lower"] = np.where(observed, value, np.where(np.isnan(lower), -np.inf, lower))
    frame["upper"] = np.where(observed, value, np.where(np.isnan(upper), np.inf, upper))
    below = (frame["censoring"] == "left").to_numpy(dtype=bool)
    frame["detected"] = observed | (~below & np.isfinite(frame["lower"].to_numpy()))
    frame["half"] = np.where(observed, value, half)
    return frame[~(observed & np.isnan(value))]


def _log2(values: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log2(values))


def _share(frame: pd.DataFrame, values: np.ndarray) -> np.ndarray:
    return values / 100 if (frame["unit"] == "%").all() else values


def _plain_logit(share: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(share) - np.log1p(-share))


def _logit(frame: pd.DataFrame, value: np.ndarray, observed: np.ndarray) -> np.ndarray:
    k = frame["k"].to_numpy(dtype="float64", na_value=np.nan)
    n = frame["n"].to_numpy(dtype="float64", na_value=np.nan)
    share = np.where(np.isnan(k) | np.isnan(n), _share(frame, value), (k + 0.5) / (n + 1))
    if ((share[observed] <= 0) | (share[observed] >= 1)).any():
        raise NotEstimable("wrong_scale", "A share of 0 or 100 % without its counts has no logit; give k and n.")
    return _plain_logit(share)


class Arms:
    """Arms of one readout at one time; each is made once, and refused only where a comparison names it.

    Parameters
    ----------
    readouts
        Rows of the output table ``readouts``: one readout, time and visit.
    several_lots
        ``mean`` averages a donor's lots on the scale of analysis; ``refuse`` does not.
    """

    def __init__(self, readouts: pd.DataFrame, several_lots: str = "refuse") -> None:
        try:
            rows, self._scaled = on_scale(readouts), True
        except NotEstimable:  # of one arm, which only its own comparisons need to hear of
            rows, self._scaled = readouts, False
        wanted = ("condition", "group", "donor_id", "censoring", "scale", "unit", *COLUMNS)
        rows = rows[[c for c in wanted if c in rows]].sort_values("donor_id", kind="stable").set_index("donor_id")
        self._none = rows.iloc[:0]
        self._parts = dict(iter(rows.groupby(["condition", "group"], sort=False)))
        if self._scaled:
            own = [c for c in COLUMNS if c in rows]
            self._parts = {key: part[own] for key, part in self._parts.items()}
        self._several_lots = several_lots
        self._left_out: frozenset[str] = frozenset()
        self._made: dict[tuple[str, str], pd.DataFrame] = {}

    def without(self, donors: frozenset[str]) -> Arms:
        """The same arms without some donors."""
        others = copy(self)
        others._left_out = self._left_out | donors
        others._made = {}
        return others

    def of(self, condition: str, group: str) -> pd.DataFrame:
        """Values of one condition in one group, indexed by donor.

        Raises
        ------
        NotEstimable
            ``repeated_rows`` where a donor has two rows: nothing is averaged that the plan does not name.
            ``wrong_scale`` from `on_scale`; ``not_estimable`` for an infinite value.
        """
        key = (condition, group)
        if key not in self._made:
            part = self._parts.get(key, self._none)
            part = part[~part.index.isin(self._left_out)] if self._left_out else part
            part = part if self._scaled else on_scale(part)
            if np.isinf(part["value"].to_numpy(dtype="float64")).any():
                raise NotEstimable("not_estimable", "A value is infinite; give it as a bound.")
            self._made[key] = arm(part, self._several_lots)
        return self._made[key]


def arm(own: pd.DataFrame, several_lots: str = "refuse") -> pd.DataFrame:
    """Rows of one arm as one row a donor.

    Parameters
    ----------
    own
        Rows of one condition and group from `on_scale`, indexed and sorted by donor.
    several_lots
        As in `Arms`.

    Raises
    ------
    NotEstimable
        ``repeated_rows``.
    """
    wanted = [c for c in COLUMNS if c in own]
    rows = own if len(wanted) == own.shape[1] else own[wanted]
    if not rows.index.has_duplicates:
        return rows
    doubled = rows.index.duplicated(keep=False)
    twice = rows[doubled]
    grouped = twice.groupby(level=0)
    who = ", ".join(list(grouped.groups)[:5])
    if not (grouped["msc_lot_id"].nunique() == grouped.size()).all():
        raise NotEstimable(
            "repeated_rows", f"Donors with several rows in one arm: {who}; say in the plan which one counts."
        )
    if several_lots != "mean":
        raise NotEstimable(
            "repeated_rows",
            f"Donors with several MSC lots: {who}; name a lot in the contrast, or slices.several_lots.",
        )
    return _over_lots(twice) if doubled.all() else pd.concat([rows[~doubled], _over_lots(twice)]).sort_index()


def _over_lots(twice: pd.DataFrame) -> pd.DataFrame:
    """One row a donor: means of values and bounds on the scale of analysis, sums of counts; detected with every lot.

    Rows come sorted by donor; a number that no lot has stays missing.
    """
    first = np.flatnonzero(~twice.index.duplicated())
    made = twice.iloc[first].assign(
        msc_lot_id="", detected=np.logical_and.reduceat(twice["detected"].to_numpy(), first)
    )
    means, sums = ["value", "lower", "upper", "half"], [c for c in ("k", "n", "n_cultures") if c in twice]
    numbers = twice[means + sums].to_numpy(dtype="float64", na_value=np.nan)
    known = np.add.reduceat((~np.isnan(numbers)).astype(float), first)
    total = np.where(known > 0, np.add.reduceat(np.where(np.isnan(numbers), 0.0, numbers), first), np.nan)
    made[means] = total[:, : len(means)] / np.maximum(known[:, : len(means)], 1.0)
    made[sums] = total[:, len(means) :]
    made["value"] = made["value"].where(made["lower"] == made["upper"])
    return made


def same_unit(readouts: pd.DataFrame) -> None:
    """Refuse rows in different units.

    Raises
    ------
    NotEstimable
        ``mixed_units``.
    """
    units = sorted(str(unit) for unit in set(readouts["unit"]) if not pd.isna(unit))
    if len(units) > 1:
        raise NotEstimable("mixed_units", f"The values are in different units: {', '.join(units[:4])}.")


def same_kit(*arms: pd.DataFrame) -> None:
    """Refuse arms that were measured by different kits or panels.

    Raises
    ------
    NotEstimable
        ``mixed_kits``.
    """
    kits = {str(k) for a in arms for k in set(a["comparability"]) if isinstance(k, str) and k}
    if len(kits) > 1:
        raise NotEstimable("mixed_kits", f"The arms come from different kits or panels: {', '.join(sorted(kits)[:4])}.")


def limits(part: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper bounds as arrays."""
    return part["lower"].to_numpy(dtype="float64"), part["upper"].to_numpy(dtype="float64")
