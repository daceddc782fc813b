"""The response to MSC in plain sentences, computed from the tables; they claim no more than the design allows.

A sentence follows sign and interval. No p decides what is said, and nothing is said of a cause.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from helpers.core.numbers import show, show_interval
from helpers.stats.response import Direction, direction, leading, lots_used, of_role, rows_of
from helpers.study.config import Config

MOST_SENTENCES = 12
RATIOS = ("fold", "odds")
FACTORS = {
    "run_id": "run",
    "comparability": "kit or panel",
    "msc_lot_id": "MSC lot",
    "batch_day": "batch day",
    "operator_code": "operator",
    "smoking_status": "smoking",
    "sex": "sex",
}


def plain_summary(effects: pd.DataFrame, tally: pd.DataFrame, readouts: pd.DataFrame, config: Config) -> list[str]:
    """What the study found of the response to MSC, in words for readers who are no statisticians.

    Parameters
    ----------
    effects
        The output table ``effects``.
    tally
        From `helpers.stats.response.sensitivity_tally`, of the MSC effect.
    readouts
        The output table ``readouts``, for the MSC lots.
    config
        study.yaml.

    Returns
    -------
    Sentences, a paragraph each; where there is nothing to say, a sentence that says so.
    """
    said = [standing(effects, config), *changes(effects, config), *gaps_closed(effects, config)]
    return [*said, *differences(effects, config), stability(tally, config), *limits(effects, readouts, config)]


def standing(effects: pd.DataFrame, config: Config) -> str:
    """How much weight the readouts bear: by a dated and hashed plan, by the user's word, or none.

    Parameters
    ----------
    effects
        The output table ``effects``.
    config
        study.yaml.
    """
    role, names = leading(effects)
    if not names:
        return "No readout was compared with and without MSC."
    secondary = len(of_role(effects, "secondary"))
    exploratory = len(of_all(effects)) - len(of_role(effects, "primary")) - secondary
    stated = _listed([name_of(config, *n) for n in names])
    if role == "exploratory":
        return f"No readout is declared primary or secondary in study.yaml: all {exploratory} are exploratory. Shown first, in the order of their names: {stated}."
    first = f"{len(names)} {_plural('readout', len(names))} {_are(len(names))} {role}: {stated}."
    if role == "secondary":
        first = f"No readout is declared primary; {first}"
    by_plan = (effects["prespecified"] == "plan").any()
    why = (
        "A dated and hashed plan precedes the first unblinding."
        if by_plan
        else "No dated and hashed plan precedes the results: roles are declared by the user, and every result is exploratory."
    )
    rest = f"{secondary} secondary and " if role == "primary" else ""
    return f"{first} {why} Beside them there are {rest}{exploratory} exploratory ones. Intervals are not adjusted for the number of readouts."


def of_all(effects: pd.DataFrame) -> set[tuple[str, str]]:
    """Assay and name of every readout that was to be compared with and without MSC."""
    rows = effects.loc[effects["contrast"] == "msc_effect", ["assay", "readout"]]
    return {(str(a), str(r)) for a, r in rows.itertuples(index=False)}


def name_of(config: Config, assay: str, readout: str) -> str:
    """The label that study.yaml gives a readout, else its name."""
    known = (r for r in config.settings.get("readouts", ()) if (r["name"], r.get("assay", assay)) == (readout, assay))
    return str(next(known, {}).get("label") or readout)


def changes(effects: pd.DataFrame, config: Config) -> list[str]:
    """The change of each leading readout, a sentence a comparison and group.

    Parameters
    ----------
    effects
        The output table ``effects``.
    config
        study.yaml.

    Returns
    -------
    Higher or lower only where the interval leaves zero out; toward health only where plan or own gap name a way.
    """
    _, names = leading(effects)
    rows = rows_of(effects, "msc_effect", names)
    said = [change(row, direction(effects, config, row), config) for row in rows.itertuples()]
    left = len(said) - MOST_SENTENCES
    return said[:MOST_SENTENCES] + ([f"{left} more stand in the table of effects."] if left > 0 else [])


def change(row: Any, way: Direction, config: Config) -> str:
    """One row of effects as a sentence, with its size and whether it lies toward health.

    Parameters
    ----------
    row
        A row of ``effects`` as `itertuples` gives it.
    way
        From `helpers.stats.response.direction`.
    config
        study.yaml, for labels.
    """
    what = f"{name_of(config, row.assay, row.readout)}, {group_of(row, config)}, {arms_of(row, config)}"
    if pd.isna(row.estimate):
        return f"{what}: no estimate ({str(row.status).replace('_', ' ')})."
    sign = side(row.ci_low, row.ci_high)
    if sign == 0:
        return f"{what}: not told apart from no change, {size(row)}; the data leave open what the interval holds."
    word = "higher" if sign > 0 else "lower"
    return f"{what}: {word}, {size(row)}{_toward(way, sign)}."


def _toward(way: Direction, sign: int) -> str:
    if not way.way:
        return "; no direction toward health is known"
    toward = (way.way == "up") == (sign > 0)
    which = "toward" if toward else "away from"
    if way.source == "own gap":
        return f"; that is {which} where this study's controls lie"
    agrees = {"": "this study's own gap has no say", way.way: "this study's own gap agrees"}.get(
        way.own, "this study's own gap points the other way"
    )
    return f"; that is {which} health as the plan states it, and {agrees}"


def side(low: float, high: float) -> int:
    """1 or −1 where an interval lies on one side of zero, 0 where it holds zero or an end is not known.

    Examples
    --------
    >>> side(0.1, 2.0), side(-2.0, -0.1), side(-1.0, 1.0), side(float("nan"), 1.0)
    (1, -1, 0, 0)
    """
    return 1 if low > 0 else -1 if high < 0 else 0


def size(row: Any) -> str:
    """Estimate, interval and pairs of one row, in the unit that people read."""
    ratio = row.ratio_kind in RATIOS
    values = (row.ratio, row.ratio_low, row.ratio_high) if ratio else (row.estimate, row.ci_low, row.ci_high)
    value, low, high = (float("nan") if pd.isna(v) else float(v) for v in values)
    kind = {"fold": "fold change ", "odds": "odds ratio "}.get(row.ratio_kind, "")
    kind = f"ratio of {kind.strip()}s " if kind and row.contrast == "interaction" else kind
    unit = "" if ratio or not isinstance(row.unit, str) or not row.unit else f" {row.unit}"
    interval = show_interval(low, high) or "interval open on a side"
    level = "" if pd.isna(row.ci_level) else f"{100 * row.ci_level:g} % interval "
    pairs = "" if pd.isna(row.n_pairs) else f", {int(row.n_pairs)} {_plural('donor', int(row.n_pairs))}"
    return f"{kind}{show(value)}{unit} ({level}{interval}{pairs})"


def group_of(row: Any, config: Config) -> str:
    """Label of a group, or of both with a minus sign between them."""
    labels = {g.code: g.label for g in config.groups}
    return " \N{MINUS SIGN} ".join(labels.get(g.strip(), g.strip()) for g in str(row.group).split("\N{MINUS SIGN}"))


def arms_of(row: Any, config: Config) -> str:
    """Treatment against reference with the time, in labels."""
    labels = {c.code: c.label for c in config.conditions}
    hours = "" if pd.isna(row.timepoint_h) else f", {row.timepoint_h:g} h"
    minutes = "" if pd.isna(row.assay_minutes) else f", {row.assay_minutes:g} min"
    return (
        f"{labels.get(row.treatment, row.treatment)} against {labels.get(row.reference, row.reference)}{hours}{minutes}"
    )


def gaps_closed(effects: pd.DataFrame, config: Config) -> list[str]:
    """The share of the gap between the groups that MSC close, of the leading readouts; or that there is none."""
    _, names = leading(effects)
    rows = rows_of(effects, "gap_closed", names)
    if rows.empty:
        return ["No share of a gap can be given: there are not two groups to have one."]
    given = rows[rows["estimate"].notna()]
    each = "; ".join(
        f"{name_of(config, r.assay, r.readout)} ({arms_of(r, config)}) {_percent(r.estimate)} ({_shares(r)}{', groups share no run' if r.status == 'confounded_with_run' else ''})"
        for r in given.itertuples()
    )
    said = f"Share of the gap between the groups that is closed: {each}. " if each else ""
    why = rows.loc[rows["estimate"].isna(), "status"].str.replace("_", " ").value_counts()
    refused = "; ".join(f"{n} {status}" for status, n in why.items())
    none = (
        f"{'No' if given.empty else 'Without a'} share of the gap{' can be given' if given.empty else ''}: {refused}. "
    )
    return [(said + (none if refused else "")).strip() + " A share describes; " + confounders(config) + "."]


def _shares(row: Any) -> str:
    low, high = (None if pd.isna(v) else _percent(v) for v in (row.ci_low, row.ci_high))
    return f"{low or 'open below'} to {high or 'open above'}"


def _percent(value: float) -> str:
    return f"{show(round(100 * float(value)))} %"


def confounders(config: Config) -> str:
    """What a gap between the groups may be due to beside the disease, named for every gap."""
    sources = _listed([f"{g.label}: {g.control_source}" for g in config.groups if g.control_source])
    return f"the groups differ in the source of their cells{f' ({sources})' if sources else ''}, and may in smoking, age and calendar time"


def confounders_found(confounding: pd.DataFrame, config: Config) -> list[str]:
    """Which factors part the groups in this study, by the output table ``confounding``; a sentence a pair of groups.

    Parameters
    ----------
    confounding
        The output table ``confounding``; only rows of two groups count.
    config
        study.yaml, for labels.
    """
    labels = {g.code: g.label for g in config.groups}
    rows = confounding[confounding["disease"].isin(labels) & confounding["control"].isin(labels)]
    if rows.empty:
        return ["No two groups were measured, so nothing can part them."]
    said = []
    for (sick, well), part in rows.groupby(["disease", "control"], sort=False):
        apart, partly = (_factors(part[part["status"] == s]) for s in ("separate", "partly"))
        found = f"share no {apart}" if apart else "share a level of every factor that is recorded"
        some = f"; only some donors share {partly}" if partly else ""
        said.append(f"{labels[sick]} and {labels[well]} donors {found}{some}. Beside that, {confounders(config)}.")
    return said


def _factors(rows: pd.DataFrame) -> str:
    named: dict[str, list[str]] = {}
    for row in rows.itertuples():
        named.setdefault(FACTORS.get(row.factor, row.factor), []).append(str(row.assay).replace("_", " "))
    each = [
        f"{factor}{f' ({_listed(list(filter(None, where)))})' if any(where) else ''}" for factor, where in named.items()
    ]
    return _listed(each)


def differences(effects: pd.DataFrame, config: Config) -> list[str]:
    """Whether the change differs between the groups, for the leading readouts; only this may say so."""
    _, names = leading(effects)
    rows = rows_of(effects, "interaction", names)
    given = rows[rows["estimate"].notna()]
    if given.empty:
        return ["No comparison of the changes between the groups can be made."]
    clear = [r for r in given.itertuples() if side(r.ci_low, r.ci_high) and r.status == "ok"]
    named = "; ".join(f"{name_of(config, r.assay, r.readout)} ({arms_of(r, config)}) {size(r)}" for r in clear)
    if not named:
        return [
            f"In none of {len(given)} comparisons does the interval of the difference of changes leave zero out; that is no evidence that the groups respond alike."
        ]
    return [
        f"The change differs between the groups ({group_of(clear[0], config)}; interval without zero) in {len(clear)} of {len(given)} comparisons: {named}."
    ]


def stability(tally: pd.DataFrame, config: Config) -> str:
    """Whether the estimates hold when computed in other ways, by sign and interval.

    Parameters
    ----------
    tally
        From `helpers.stats.response.sensitivity_tally`.
    config
        study.yaml, for labels.
    """
    some = tally[tally["n_methods"] > 0]
    if some.empty:
        return "No estimate was computed in another way."
    signs, sides = some["n_methods"] == some["n_same_sign"], some["n_intervals"] == some["n_same_side"]
    firm = some[_clear(some)]
    turned = [
        f"{name_of(config, r.assay, r.readout)} ({group_of(r, config)}; {arms_of(r, config)})"
        for r in some[~signs].itertuples()
    ]
    moved = [
        f"{name_of(config, r.assay, r.readout)} ({group_of(r, config)}; {arms_of(r, config)})"
        for r in some[~sides].itertuples()
    ]
    one = firm.loc[firm["one_donor"].eq(True), "readout"]
    said = [
        f"Computed in other ways, the sign holds in {int(signs.sum())} of {len(some)} estimates{f' (it turns for {_listed(turned)})' if turned else ''}.",
        f"Every other interval lies on the same side of zero, or holds it as the first does, in {int(sides.sum())} of {len(some)}{f' (not for {_listed(moved)})' if moved else ''}.",
    ]
    if len(firm):
        said.append(
            f"Of {len(firm)} estimates whose interval leaves zero out, leaving out one donor turns the sign of {len(one) or 'none'}."
        )
    return " ".join(said)


def _clear(tally: pd.DataFrame) -> pd.Series:
    return (tally["ci_low"] > 0) | (tally["ci_high"] < 0)


def limits(effects: pd.DataFrame, readouts: pd.DataFrame, config: Config) -> list[str]:
    """What the design does not allow to be said, whatever the numbers.

    Parameters
    ----------
    effects, readouts
        The output tables.
    config
        study.yaml.
    """
    said = []
    if not any(c.role == "irrelevant_cell" for c in config.conditions):
        said.append(
            "These are effects of co-culture: no irrelevant cell was co-cultured, so they cannot be ascribed to MSC as such."
        )
    said.append(lots(readouts))
    if any(g.role == "control" for g in config.groups):
        n = _controls(readouts, config)
        said.append(
            f"Controls are what was observed in {n} {_plural('donor', n)}, no healthy range."
            if n
            else "No control donor was measured, so nothing is said of health by this study itself."
        )
    _, names = leading(effects)
    notes = rows_of(effects, "msc_effect", names)["note"].fillna("")
    if notes.str.contains("source ambiguous").any():
        said.append(
            "Where a note says source ambiguous, MSC secrete the analyte themselves: more of it is no change of the macrophages."
        )
    said.append("A change in a dish is not yet one in a patient; this page is for research, not for care.")
    return said


def lots(readouts: pd.DataFrame) -> str:
    """For which MSC lots the effects stand."""
    used = lots_used(readouts)
    if not used:
        return "No MSC lot is recorded, so it is not known for which lots these effects stand."
    return f"{len(used)} MSC {_plural('lot', len(used))} {'was' if len(used) == 1 else 'were'} used: what is said applies to {'this lot' if len(used) == 1 else 'these lots'} ({_listed(used)})."


def _controls(readouts: pd.DataFrame, config: Config) -> int:
    return int(readouts.loc[readouts["group"].isin(config.groups_of("control")), "donor_id"].nunique())


def budget_words(budget: pd.DataFrame, config: Config) -> list[str]:
    """What narrows the intervals most: one more donor, culture or assay well; a sentence a comparison and group.

    Parameters
    ----------
    budget
        From `helpers.stats.response.budgets`.
    config
        study.yaml, for labels.
    """
    known = budget[budget["source"].notna()]
    if known.empty:
        return ["No comparison has donors with two independent cultures of one arm, so the spread cannot be parted."]
    most = known.sort_values("half_width_one_more", kind="stable").drop_duplicates(_BUDGET_KEY)
    counts = most["source"].value_counts()
    named = _listed([f"one more {_MORE[str(s)]} in {n}" for s, n in counts.items()])
    donor = known.loc[known["source"] == "donor", "share"]
    return [
        f"In {len(most)} comparisons whose spread can be parted, differences between donors make {_percent(donor.min())} to {_percent(donor.max())} of the variance of a donor's change.",
        f"What narrows the interval most: {named}.",
    ]


_BUDGET_KEY = ["assay", "readout", "treatment", "reference", "timepoint_h", "assay_minutes", "group"]
_MORE = {"donor": "donor", "culture": "culture an arm", "assay": "assay well a culture"}


def _plural(word: str, n: int) -> str:
    return word if n == 1 else word + "s"


def _are(n: int) -> str:
    return "is" if n == 1 else "are"


def _listed(words: list[str]) -> str:
    """Words with commas, and the last with *and*.

    Examples
    --------
    >>> _listed(["a", "b", "c"]), _listed(["a"]), _listed([])
    ('a, b and c', 'a', '')
    """
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)
