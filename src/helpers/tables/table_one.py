"""Table 1: donors by group, with the standardised differences of the package tableone, printed by our rules.

tableone writes numbers as text and prints ``0 (nan)`` for empty groups, so its frame is taken apart here:
missing counts, texts and standardised mean differences become one long table.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from helpers.cohort.derived import not_on_room_air
from helpers.core.numbers import show
from helpers.core.schemas import output_tables
from helpers.study.config import Config
from helpers.tables.base import TableView, show_table
from helpers.tables.words import TABLE_ONE_LABELS, TABLE_ONE_NOTES

MEAN = ("age_years", "bmi_kg_m2", "pao2_mmhg", "aa_gradient_mmhg", "shunt_pct", "fvc_pct", "fev1_pct", "dlco_pct")
MEDIAN = (
    "pack_years",
    "symptom_duration_months",
    "prior_wll_count",
    "gmcsf_ab_ug_ml",
    "ldh_u_l",
    "kl6_u_ml",
    "cea_ng_ml",
    "cyfra211_ng_ml",
    "sp_a_ng_ml",
    "sp_d_ng_ml",
)
CATEGORIES = ("sex", "smoking_status", "dust_exposure", "dss")
OVERALL = "overall"
STATISTICS = ("mean", "sd", "median", "q1", "q3", "count", "percent")


def describe(
    frame: pd.DataFrame, group: str, mean: Sequence[str], median: Sequence[str], categories: Sequence[str]
) -> pd.DataFrame:
    """Describe variables by group, long form.

    Parameters
    ----------
    frame
        One row a person.
    group
        Column of the groups; missing groups are not allowed.
    mean, median, categories
        Columns described by mean (SD), by median [quartiles], by counts.

    Returns
    -------
    Columns variable, level, group (with ``overall``), n, n_missing, text, the numbers behind it, smd. The SMD is tableone's: of
    numbers the mean of the second group less that of the first, in the order of `frame`, over their SD; of categories a distance
    without sign, on the first level. It is missing unless there are two groups.

    Raises
    ------
    ValueError
        Where a column is not in the frame.
    """
    absent = [c for c in (group, *mean, *median, *categories) if c not in frame]
    if absent:
        raise ValueError(f"no such columns: {', '.join(absent)}")
    groups = [str(g) for g in dict.fromkeys(frame[group])]
    parts = {**{g: frame[frame[group].astype(str) == g] for g in groups}, OVERALL: frame}
    smd = _smds(
        frame,
        group,
        [c for c in (*mean, *median) if frame[c].notna().any()],
        [c for c in categories if frame[c].notna().any()],
    )
    rows: list[dict[str, Any]] = []
    for name in [c for c in frame.columns if c in {*mean, *median, *categories}]:
        levels = [""] if name not in categories else sorted(frame[name].dropna().astype(str).unique()) or [""]
        for i, level in enumerate(levels):
            for code, part in parts.items():
                n = int(part[name].notna().sum())
                found = _category(part[name], level) if name in categories else _number(part[name])
                text = _text(found, name in categories, name in median) if n else ""
                row = {
                    "variable": name,
                    "level": level,
                    "group": code,
                    "n": n,
                    "n_missing": len(part) - n,
                    "text": text,
                }
                rows.append(row | found | {"smd": smd.get(name, np.nan) if i == 0 else np.nan})
    return pd.DataFrame(rows, columns=["variable", "level", "group", "n", "n_missing", "text", *STATISTICS, "smd"])


def _number(values: pd.Series) -> dict[str, float]:
    numbers = values.dropna().astype("float64")
    low, middle, high = numbers.quantile([0.25, 0.5, 0.75]) if len(numbers) else (np.nan,) * 3
    spread = float(numbers.std(ddof=1)) if len(numbers) > 1 else np.nan
    return {"mean": float(numbers.mean()), "sd": spread, "median": float(middle), "q1": float(low), "q3": float(high)}


def _category(values: pd.Series, level: str) -> dict[str, float]:
    known = values.dropna().astype(str)
    k = int((known == level).sum())
    return {"count": k, "percent": 100 * k / len(known) if len(known) else np.nan}


def _text(found: dict[str, float], category: bool, skewed: bool) -> str:
    if category:
        return f"{int(found['count'])} ({show(found['percent'])}%)"
    if skewed:
        return f"{show(found['median'])} [{show(found['q1'])}, {show(found['q3'])}]"
    return f"{show(found['mean'])} ({show(found['sd']) or '–'})"


def _smds(frame: pd.DataFrame, group: str, numbers: Sequence[str], categories: Sequence[str]) -> dict[str, float]:
    """Standardised mean differences as tableone computes them; none for a variable that a group lacks."""
    groups = frame[group].astype(str)
    place = {g: str(i) for i, g in enumerate(dict.fromkeys(groups))}  # tableone subtracts in alphabetical order
    kept = [
        c
        for c in (*numbers, *categories)
        if (frame[c].notna().groupby(groups).sum() > (1 if c in numbers else 0)).all()
    ]
    if groups.nunique() != 2 or not kept:
        return {}
    from tableone import TableOne

    plain = frame[kept].copy()
    for c in kept:
        plain[c] = plain[c].astype("float64") if c in numbers else plain[c].astype(object).map(str, na_action="ignore")
    plain["group_"] = groups.map(place).to_numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = TableOne(
            plain,
            columns=kept,
            categorical=[c for c in kept if c in categories],
            groupby="group_",
            smd=True,
            pval=False,
            missing=False,
            overall=False,
        )
    # the table itself holds them as rounded text; its smd_table holds the numbers
    column = table.smd_table.iloc[:, 0].astype("float64")
    return {str(name): float(smd) for name, smd in column.items() if np.isfinite(smd)}


def table_one(donors: pd.DataFrame, config: Config) -> pd.DataFrame:
    """Table 1 of a study as the output table ``table_one``.

    Parameters
    ----------
    donors
        The output table ``donors_derived``.
    config
        study.yaml; groups are shown in its order.

    Returns
    -------
    One row a variable, level and group; variables nobody has a value of are left out. Oxygen pressure and
    gradient are those on room air; `room_air_note` says how many are not.
    """
    order = {g.code: i for i, g in enumerate(config.groups)}
    room_air = {name: donors[name].mask(apart) for name, apart in not_on_room_air(donors).items()}
    shown = donors.assign(dust_exposure=donors["dust_exposure"].map({True: "yes", False: "no"}), **room_air)
    ordered = shown.sort_values("group", key=lambda g: g.map(order), kind="stable")
    present = [c for c in (*MEAN, *MEDIAN, *CATEGORIES) if ordered[c].notna().any()]
    columns = output_tables()["table_one"].columns
    if ordered.empty or not present:
        return pd.DataFrame({c: [] for c in columns})
    table = describe(
        ordered[["group", *[c for c in TABLE_ONE_LABELS if c in present]]],
        "group",
        [c for c in MEAN if c in present],
        [c for c in MEDIAN if c in present],
        [c for c in CATEGORIES if c in present],
    )
    table["label"] = table["variable"].map(TABLE_ONE_LABELS)
    return table[columns]


def room_air_note(donors: pd.DataFrame, config: Config) -> str:
    """Footnote of Table 1: whose oxygen pressure was not measured on room air and is therefore counted as missing.

    Parameters
    ----------
    donors
        The output table ``donors_derived``.
    config
        study.yaml, for group labels.
    """
    apart = not_on_room_air(donors)["pao2_mmhg"]
    counts = ", ".join(f"{g.label} {int((apart & (donors['group'] == g.code)).sum())}" for g in config.groups)
    return f"PaO2, P(A-a)O2 and severity score on room air only; measured on oxygen, or it is not recorded on what: {counts}."


def table_one_view(table: pd.DataFrame, config: Config, footnotes: Sequence[str] = ()) -> TableView:
    """Table 1 as printed: a row a variable or level, a column a group, missing counts and SMD beside.

    Parameters
    ----------
    table
        The output table ``table_one``.
    config
        study.yaml, for group labels.
    footnotes
        Further sentences.
    """
    groups = [g for g in config.groups if g.code in set(table["group"])]
    rows = []
    for (_, level), part in table.groupby(["variable", "level"], sort=False):
        by_group = part.set_index("group")
        first = part.iloc[0]
        row = {"Variable": f"{first['label']}: {level}" if level else first["label"]}
        row |= {f"{g.label}": by_group.loc[g.code, "text"] or "–" for g in groups}
        row["Missing"] = " / ".join(str(by_group.loc[g.code, "n_missing"]) for g in groups)
        row["SMD"] = "" if pd.isna(first["smd"]) else show(float(first["smd"]))
        rows.append(row)
    sizes = ", ".join(
        f"{g.label} {int((table.loc[table['group'] == g.code, 'n'] + table.loc[table['group'] == g.code, 'n_missing']).max())}"
        for g in groups
    )
    notes = [f"Missing: donors without a value, {' / '.join(g.label for g in groups)}."]
    if len(groups) == 2:
        notes.append(f"SMD of numbers: {groups[1].label} − {groups[0].label}; of categories it has no sign.")
    return show_table(
        pd.DataFrame(rows),
        f"Table 1. Donors by group (n: {sizes or 'none'}).",
        (*TABLE_ONE_NOTES, *notes, *footnotes),
        file="tables/table_one.csv",
    )


def table_one_tests(
    donors: pd.DataFrame, columns: Sequence[str] = (*MEAN, *MEDIAN, *CATEGORIES), group: str = "group"
) -> pd.DataFrame:
    """P-values for Table 1, only for who asks: Welch's t, exact or asymptotic Mann-Whitney, Fisher or chi-squared.

    Parameters
    ----------
    donors
        One row a person.
    columns
        Variables; those in `MEAN` get Welch's t-test, those in `MEDIAN` Mann-Whitney, others a table test.
    group
        Column of two groups.

    Returns
    -------
    Columns variable, test, p; p is missing where a group has fewer than two values.
    """
    from scipy import stats

    rows = []
    codes = list(dict.fromkeys(donors[group].dropna()))
    for name in (c for c in columns if c in donors and len(codes) == 2):
        one, two = (donors.loc[donors[group] == code, name].dropna() for code in codes)
        if name in CATEGORIES:
            counts = pd.crosstab(donors[group], donors[name].astype(object))
            small = counts.shape == (2, 2)
            p = (
                stats.fisher_exact(counts).pvalue
                if small
                else stats.chi2_contingency(counts).pvalue
                if counts.size
                else np.nan
            )
            rows.append((name, "Fisher's exact test" if small else "chi-squared test", p))
        elif len(one) > 1 and len(two) > 1:
            one, two = one.astype("float64"), two.astype("float64")
            ties = pd.concat([one, two]).duplicated().any()
            if name in MEAN:
                rows.append((name, "Welch's t-test", stats.ttest_ind(one, two, equal_var=False).pvalue))
            else:  # SciPy's exact method ignores ties, so the asymptotic one serves then
                method = "asymptotic" if ties else "exact"
                rows.append((name, f"Mann-Whitney test, {method}", stats.mannwhitneyu(one, two, method=method).pvalue))
        else:
            rows.append((name, "not done", np.nan))
    return pd.DataFrame(rows, columns=["variable", "test", "p"])
