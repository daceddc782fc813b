"""What the page on the response to MSC needs of the tables: who leads, directions, tallies of other analyses, lots."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from helpers.stats.labels import COVARIATES, difference_unit, readout_of, readout_words
from helpers.study.config import Config

ROLES = ("primary", "secondary", "exploratory")
MOST_LEADING = 12
"""Readouts that lead where the plan names none: the first ones by name, never those with the smallest p."""
TIMES = ["timepoint_h", "assay_minutes"]
KEY = ["assay", "readout", "treatment", "reference", *TIMES]
ROW = ["contrast_id", "assay", "readout", *TIMES]
"""What names a row of effects, and finds its donors and its other analyses."""
OTHER_MEASURES = (
    "g_av",
    "matched rank-biserial",
    "Cliff's delta",
    "Brunner–Munzel",
    "exact McNemar",
    "Fisher exact",
    "baseline of donors",
    "difference between MSC lots",
    "MSC lot",
    "leave one donor out",
)
"""Beginnings of methods that answer another question than the primary estimate, so that their sign is no second opinion."""
OTHER_UNITS = ("beta-binomial", "exact sign flip, sign test")
"""Beginnings of methods whose sign compares, but whose number is not on the scale of analysis."""


class Direction(NamedTuple):
    """Which way is toward health for one readout, and who says so.

    Parameters
    ----------
    way
        up, down, or empty where neither study.yaml nor the study's own gap says it.
    source
        stated (in study.yaml), own gap, or empty.
    cited
        The source that study.yaml cites.
    own
        The way toward the controls by this study's own gap, empty where its interval holds zero or it has no say.
    """

    way: str
    source: str
    cited: str
    own: str


def leading(effects: pd.DataFrame) -> tuple[str, list[tuple[str, str]]]:
    """The role that leads the page, and its readouts: primary ones; else secondary ones; else the first by name.

    Parameters
    ----------
    effects
        The output table ``effects``.

    Returns
    -------
    The role and pairs of assay and readout; no pair where there is no readout at all.

    Examples
    --------
    >>> rows = [("msc_effect", "cytokines", "IL-6", "exploratory"), ("msc_effect", "cytokines", "TNF", "primary")]
    >>> leading(pd.DataFrame(rows, columns=["contrast", "assay", "readout", "role"]))
    ('primary', [('cytokines', 'TNF')])
    """
    for role in ROLES:
        found = of_role(effects, role)
        if found:
            return role, found[:MOST_LEADING] if role == "exploratory" else found
    return "exploratory", []


def ranked(effects: pd.DataFrame, rank: str) -> tuple[str, list[tuple[str, str]]]:
    """Role and readouts that are ``leading``, or ``following``: the secondary ones where primary ones lead, else none."""
    role, names = leading(effects)
    if rank == "leading":
        return role, names
    return "secondary", of_role(effects, "secondary") if role == "primary" else []


def of_role(effects: pd.DataFrame, role: str) -> list[tuple[str, str]]:
    """Assay and name of the readouts of one role, sorted."""
    rows = effects.loc[(effects["contrast"] == "msc_effect") & (effects["role"] == role), ["assay", "readout"]]
    return sorted({(str(a), str(r)) for a, r in rows.itertuples(index=False)})


def rows_of(effects: pd.DataFrame, contrast: str, readouts: list[tuple[str, str]]) -> pd.DataFrame:
    """Rows of one kind of comparison for some readouts, without treatments that a readout was never measured under.

    Parameters
    ----------
    effects
        The output table ``effects``.
    contrast
        ``msc_effect``, ``gap_closed``, ….
    readouts
        Pairs of assay and readout; rows come in their order. A readout that was measured under no treatment at all
        keeps its empty rows.
    """
    place = {key: i for i, key in enumerate(readouts)}
    rows = effects[effects["contrast"] == contrast]
    order = [place.get((a, r), -1) for a, r in zip(rows["assay"], rows["readout"], strict=True)]
    rows = rows.assign(place=order)
    rows = rows[rows["place"] >= 0].sort_values("place", kind="stable").drop(columns="place")
    known = rows["estimate"].notna() | (rows["n_pairs"].fillna(0) > 0)
    of_comparison = known.groupby([rows[k] for k in KEY], dropna=False, sort=False).transform("any")
    of_readout = known.groupby([rows["assay"], rows["readout"]], sort=False).transform("any")
    return rows[of_comparison | ~of_readout] if len(rows) else rows


def direction(effects: pd.DataFrame, config: Config, row: Any) -> Direction:
    """The direction toward health of one row of effects, and its source.

    What study.yaml states comes first. Where it states none, the study's own gap in the reference condition says
    which way the controls lie, if its interval leaves zero out and runs and antibodies let it be read.

    Parameters
    ----------
    effects
        The output table ``effects``.
    config
        study.yaml.
    row
        A row of ``effects`` as `itertuples` gives it.
    """
    known, own = readout_of(config, row.assay, row.readout), _own_direction(effects, config, row)
    stated = known.get("direction_toward_health", "none")
    if stated in ("up", "down"):
        return Direction(stated, "stated", str(known.get("direction_source") or ""), own)
    return Direction(own, "own gap" if own else "", "", own)


def _own_direction(effects: pd.DataFrame, config: Config, row: Any) -> str:
    gaps = effects[
        (effects["contrast"] == "group_gap")
        & (effects["assay"] == row.assay)
        & (effects["readout"] == row.readout)
        & (effects["treatment"] == row.reference)
        & (effects["status"] == "ok")
        & ~effects["note"].fillna("").str.contains("antibody interference")
    ]
    gaps = gaps[same(gaps, row, TIMES)]
    of_group = str(row.group).split(" \N{MINUS SIGN} ")[0]
    if of_group in config.groups_of("disease"):
        gaps = gaps[gaps["group"].str.startswith(f"{of_group} \N{MINUS SIGN}")]
    ways = {{1: "down", -1: "up"}.get(side(g.ci_low, g.ci_high), "") for g in gaps.itertuples()} - {""}
    return ways.pop() if len(ways) == 1 else ""


def side(low: float, high: float) -> int:
    """1 or −1 where an interval lies on one side of zero, 0 where it holds zero or an end is not known.

    Examples
    --------
    >>> side(0.1, 2.0), side(-2.0, -0.1), side(-1.0, 1.0), side(float("nan"), 1.0), side(0.1, float("nan"))
    (1, -1, 0, 0, 1)
    """
    return 1 if low > 0 else -1 if high < 0 else 0


def same(table: pd.DataFrame, row: Any, columns: list[str]) -> pd.Series:
    """Which rows of a table agree with one row in some columns; missing agrees with missing."""
    agree = pd.Series(True, index=table.index)
    for column in columns:
        value = getattr(row, column)
        agree &= table[column].isna() if pd.isna(value) else (table[column] == value).fillna(False).astype(bool)
    return agree


def axis_kind(row: Any) -> str:
    """What a row of numbers is measured in: fold, odds, detection, or the unit of a difference; never mixed on an axis.

    Odds of detecting a value at all are no odds of a percentage.
    """
    if getattr(row, "ratio_kind", "") == "odds" and row.scale != "logit":
        return "detection"
    return {"log2": "fold", "logit": "odds"}.get(row.scale, difference_unit(row.unit))


BASES = {"fold": 2.0, "odds": float(np.e), "detection": float(np.e)}


def on_ratio(value: Any, base: float) -> float:
    """A number of the scale of analysis as a ratio; as it is where the base is 0.

    Examples
    --------
    >>> on_ratio(-1.0, 2.0), on_ratio(-1.0, 0.0)
    (0.5, -1.0)
    """
    number = float("nan") if pd.isna(value) else float(value)
    return base**number if base else number


# ---- donors' changes


def bounded_change(change: float, low: float, high: float) -> tuple[float, str]:
    """A donor's change as one number and a mark: < at most, > at least, ? where its direction is not known.

    Parameters
    ----------
    change, low, high
        Of the output table ``donor_changes``; low and high are missing where open.

    Examples
    --------
    >>> nan = float("nan")
    >>> bounded_change(1.0, 1.0, 1.0), bounded_change(nan, nan, -0.5), bounded_change(nan, 0.2, 0.9)
    ((1.0, ''), (-0.5, '<'), (0.2, '>'))
    >>> bounded_change(nan, -1.0, 2.0), bounded_change(nan, nan, 0.5)
    ((nan, '?'), (nan, '?'))
    """
    if not pd.isna(change):
        return change, ""
    return {1: (low, ">"), -1: (high, "<"), 0: (np.nan, "?")}[side(low, high)]


def marked(changes: pd.DataFrame) -> pd.DataFrame:
    """Donors' changes with `shown` and `mark`; see `bounded_change`."""
    pairs = [bounded_change(*v) for v in changes[["change", "lower", "upper"]].itertuples(index=False)]
    return changes.assign(shown=[float(v) for v, _ in pairs], mark=[m for _, m in pairs])


def changes_of(changes: pd.DataFrame, names: list[tuple[str, str]]) -> pd.DataFrame:
    """Rows of ``donor_changes`` or ``planning`` on the effect of MSC on some readouts, in their order."""
    own = changes[changes["contrast"] == "msc_effect"]
    parts = [own[(own["assay"] == a) & (own["readout"] == r)] for a, r in names]
    return pd.concat([own.iloc[:0], *parts], ignore_index=True)


# ---- does it depend on how it is computed, and on the lot


def sensitivity_tally(
    effects: pd.DataFrame, sensitivity: pd.DataFrame, contrast: str, names: list[tuple[str, str]]
) -> pd.DataFrame:
    """How the other analyses of each estimate compare with it: by sign and by the side of zero of their interval.

    Parameters
    ----------
    effects, sensitivity
        The output tables ``effects`` and ``effects_sensitivity``.
    contrast
        Kind of comparison.
    names
        Pairs of assay and readout.

    Returns
    -------
    The row of effects; n_methods and n_same_sign; other_sign (their names); n_intervals and n_same_side, the
    intervals on the same side of zero as the primary one (or, like it, with zero inside); other_side (names);
    low and high, the least and the largest estimate on the scale of analysis; one_donor, whether leaving one donor
    out turns the sign (None where that was not computed). Never a p.
    """
    lines = []
    for one in rows_of(effects, contrast, names).itertuples(index=False):
        if pd.isna(one.estimate):
            continue
        others = sensitivity[same(sensitivity, one, ROW) & sensitivity["estimate"].notna()]
        others = others[~others["method"].str.startswith(OTHER_MEASURES)]
        held = others[others["ci_low"].notna() & others["ci_high"].notna()]
        sides = [side(a, b) for a, b in zip(held["ci_low"], held["ci_high"], strict=True)]
        turned = others[np.sign(others["estimate"]) != np.sign(one.estimate)]
        moved = held[np.array(sides, dtype=int) != side(one.ci_low, one.ci_high)]
        comparable = others[(others["scale"] == one.scale) & ~others["method"].str.startswith(OTHER_UNITS)]
        ends = [*comparable["estimate"], one.estimate]
        line = one._asdict() | {"n_methods": len(others), "n_same_sign": len(others) - len(turned)}
        line |= {"other_sign": "; ".join(turned["method"]), "other_side": "; ".join(moved["method"])}
        line |= {"n_intervals": len(held), "n_same_side": len(held) - len(moved), "low": min(ends), "high": max(ends)}
        lines.append(line | {"one_donor": None if pd.isna(one.loo_low) else bool(one.loo_low * one.loo_high <= 0)})
    return pd.DataFrame(lines, columns=[*effects.columns, *_TALLY])


_TALLY = ["n_methods", "n_same_sign", "other_sign", "n_intervals", "n_same_side", "other_side", "low", "high"]
_TALLY += ["one_donor"]
_LOT = re.compile(r"MSC lot (?P<lot>.+), (?P<n>\d+) donors$")


def lot_effects(effects: pd.DataFrame, sensitivity: pd.DataFrame, names: list[tuple[str, str]]) -> pd.DataFrame:
    """The effect with each MSC lot, from the sensitivity analyses; rows only where two lots or more were used.

    Parameters
    ----------
    effects, sensitivity
        The output tables ``effects`` and ``effects_sensitivity``.
    names
        Pairs of assay and readout.

    Returns
    -------
    The rows of effects_sensitivity with the lot in msc_lot_id, and n_donors.
    """
    rows = rows_of(effects, "msc_effect", names)[ROW].merge(sensitivity, on=ROW, how="inner")
    found = rows["method"].str.extract(_LOT)
    rows = rows.assign(msc_lot_id=found["lot"], n_donors=pd.to_numeric(found["n"]))
    return rows[rows["msc_lot_id"].notna()].astype({"n_donors": int}).reset_index(drop=True)


def lots_used(readouts: pd.DataFrame) -> list[str]:
    """MSC lots that stand in the table of readouts, sorted."""
    return sorted(set(readouts["msc_lot_id"].dropna().astype(str)) - {""})


def responders_of(responders: pd.DataFrame, effects: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``responders`` of the leading readouts, with the columns of ``effects`` that they need."""
    more = ["group", "treatment", "reference", "unit", "scale"]
    rows = rows_of(effects, "msc_effect", leading(effects)[1])[[*ROW, *more]]
    return rows.merge(responders, on=ROW, how="inner")


# ---- across assays, and beside clinical values


def across_assays(concordance: pd.DataFrame) -> pd.DataFrame:
    """Pairs of readouts of two different assays that have a rank correlation."""
    rows = concordance[concordance["rho"].notna() & ~_with_covariate(concordance)]
    return rows[_assay_of(rows["first"]) != _assay_of(rows["second"])]


def with_covariates(concordance: pd.DataFrame) -> pd.DataFrame:
    """Pairs of a readout and a clinical covariate that have a rank correlation."""
    return concordance[concordance["rho"].notna() & _with_covariate(concordance)]


def with_arms(concordance: pd.DataFrame, effects: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``concordance`` with the group, treatment and reference that their `contrast_id` names."""
    which = effects.drop_duplicates("contrast_id").set_index("contrast_id")[["group", "treatment", "reference"]]
    return concordance.join(which, on="contrast_id", how="inner")


def spoken(name: str) -> str:
    """A readout of ``concordance`` without its assay and hours, for people; another name as it is.

    Examples
    --------
    >>> spoken("phagocytosis bead|index_mean 24 h 60 min"), spoken("measurements Oil Red O 24 h"), spoken("PaO2")
    ('bead, index (mean), 60 min', 'Oil Red O', 'PaO2')
    """
    found = _SPOKEN.match(name)
    return f"{readout_words(found['readout'])}{', ' if found['minutes'] else ''}{found['minutes']}" if found else name


_SPOKEN = re.compile(r"\S+ (?P<readout>.+) \S+ h ?(?P<minutes>(\S+ min)?)$")


def _with_covariate(table: pd.DataFrame) -> pd.Series:
    return table["second"].isin(list(COVARIATES.values()))


def _assay_of(names: pd.Series) -> pd.Series:
    """The assay that a name in concordance begins with; per-cell cytokines are no other assay than cytokines."""
    return names.astype(str).str.split(" ").str[0].str.removesuffix("_per_cell")
