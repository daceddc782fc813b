"""The response to MSC in plain sentences, computed from the tables; they claim no more than the design allows.

A sentence follows sign and interval. No p decides what is said, and nothing is said of a cause.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from helpers.core.numbers import show, show_interval
from helpers.stats.labels import comparison_of, difference_unit, groups_of, name_of
from helpers.stats.response import KEY, Direction, direction, leading, lots_used, of_role, rows_of, side
from helpers.study.config import Config

MOST_SENTENCES = 12
CONTROLS = "where this study's controls lie"
RATIOS = {"fold": "fold change", "odds": "odds ratio"}
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
        From `helpers.stats.response.sensitivity_tally`, of the effect of MSC on the leading readouts.
    readouts
        The output table ``readouts``, for the MSC lots.
    config
        study.yaml.

    Returns
    -------
    Sentences, a paragraph each; where there is nothing to say, a sentence that says so.
    """
    said = [standing(effects, config), *headline(effects, config), *changes(effects, config)]
    said.append(gaps_closed(effects, config))
    return [*said, differences(effects, config), stability(tally, config), *limits(effects, readouts, config)]


def standing(effects: pd.DataFrame, config: Config) -> str:
    """How much weight the readouts bear: by a dated and hashed plan, by the user's word, or none."""
    role, names = leading(effects)
    if not names:
        return "No readout was compared with and without MSC."
    n = {r: len(of_role(effects, r)) for r in ("secondary", "exploratory")}
    stated = listed([name_of(config, *name) for name in names])
    if role == "exploratory":
        return f"No readout is declared primary or secondary in study.yaml: all {n[role]} are exploratory. Shown first, in the order of their names: {stated}."
    first = "" if role == "primary" else "No readout is declared primary. "
    first += f"{len(names)} {_many('readout', len(names))} {'is' if len(names) == 1 else 'are'} {role}: {stated}."
    if (effects["prespecified"] == "plan").any():
        why = "A dated and hashed plan precedes the first unblinding."
    else:
        why = "No dated and hashed plan precedes the results: roles are declared by the user, and every result is exploratory."
    rest = f"{n['secondary']} secondary and " if role == "primary" else ""
    return f"{first} {why} Beside them there are {rest}{n['exploratory']} exploratory ones. Intervals are not adjusted for the number of readouts."


def changes(effects: pd.DataFrame, config: Config) -> list[str]:
    """The change of each leading readout, a sentence a comparison with every group in it; one for all unmeasured."""
    rows, absent = _measured(effects)
    said = []
    for _, part in rows.groupby(KEY, sort=False, dropna=False):
        first = next(part.itertuples())
        each = (
            f"{groups_of(r, config)} {change(r, direction(effects, config, r), r.group in config.groups_of('control'))}"
            for r in part.itertuples()
        )
        said.append(
            f"{name_of(config, first.assay, first.readout)}, {comparison_of(first, config)}: {'; '.join(each)}."
        )
    left = len(said) - MOST_SENTENCES
    said = said[:MOST_SENTENCES] + ([f"{left} more stand in the table of effects."] if left > 0 else [])
    named = listed([name_of(config, *name) for name in absent])
    return [*said, *([f"No donor has the values that a change needs of {named}."] if absent else [])]


def _measured(effects: pd.DataFrame) -> tuple[pd.DataFrame, list[tuple[str, str]]]:
    """Rows of leading readouts of which somebody has a pair, and the readouts of which nobody has."""
    _, names = leading(effects)
    rows = rows_of(effects, "msc_effect", names)
    known = rows["estimate"].notna() | (rows["n_pairs"].fillna(0) > 0)
    there = set(zip(rows.loc[known, "assay"], rows.loc[known, "readout"], strict=True))
    kept = [name in there for name in zip(rows["assay"], rows["readout"], strict=True)]
    return rows[np.array(kept, dtype=bool)], [name for name in names if name not in there]


def change(row: Any, way: Direction, of_controls: bool = False) -> str:
    """One row of effects in words, with its size and whether it lies toward health.

    Higher or lower only where the interval leaves zero out; toward health only where a direction is known, and
    never of controls, who are what it is measured by.

    Parameters
    ----------
    row
        A row of ``effects`` as `itertuples` gives it.
    way
        From `helpers.stats.response.direction`.
    of_controls
        Whether the row is one of a control group.
    """
    if pd.isna(row.estimate):
        return f"no estimate ({_status(row)})"
    sign = side(row.ci_low, row.ci_high)
    if sign == 0:
        return f"not told apart from no change, {size(row)}"
    toward = "" if of_controls else f", {_toward(way, sign)}"
    return f"{'higher' if sign > 0 else 'lower'}, {size(row)}{toward}"


def headline(effects: pd.DataFrame, config: Config) -> list[str]:
    """How many leading comparisons of each disease group leave no change out, and which way they point."""
    rows, _ = _measured(effects)
    said = []
    for _, part in rows[rows["group"].isin(config.groups_of("disease"))].groupby("group", sort=False):
        clear = [(r, side(r.ci_low, r.ci_high)) for r in part.itertuples()]
        ways = Counter(_where(direction(effects, config, r), sign) for r, sign in clear if sign)
        where = f": {listed([f'{n} {way}' for way, n in ways.items()])}" if ways else ""
        n = ways.total()
        said.append(
            f"{groups_of(part.iloc[0], config)}: the interval leaves no change out in {n} of {len(part)} {_many('comparison', len(part))}{where}."
        )
    return said


def _where(way: Direction, sign: int) -> str:
    if not way.way:
        return "with no known direction toward health"
    which = "toward" if (way.way == "up") == (sign > 0) else "away from"
    return f"{which} health as study.yaml states it" if way.source == "stated" else f"{which} {CONTROLS}"


def _toward(way: Direction, sign: int) -> str:
    if way.source != "stated":
        return _where(way, sign)
    own = "agrees" if way.own == way.way else "points the other way" if way.own else "has no say"
    return f"{_where(way, sign)} ({way.cited or 'no source given'}; this study's own gap {own})"


def size(row: Any) -> str:
    """Estimate, interval and pairs of one row, in the unit that people read."""
    ratio = row.ratio_kind in RATIOS
    values = (row.ratio, row.ratio_low, row.ratio_high) if ratio else (row.estimate, row.ci_low, row.ci_high)
    value, low, high = (float("nan") if pd.isna(v) else float(v) for v in values)
    kind = RATIOS.get(row.ratio_kind, "")
    kind = f"ratio of {kind}s " if kind and row.contrast == "interaction" else f"{kind} " if kind else ""
    unit = "" if ratio else f" {difference_unit(row.unit)}".rstrip()
    interval = f"{100 * row.ci_level:g} % interval {show_interval(low, high) or 'open on a side'}"
    pairs = "" if pd.isna(row.n_pairs) else f", {int(row.n_pairs)} {_many('donor', int(row.n_pairs))}"
    return f"{kind}{show(value)}{unit} ({interval}{pairs})"


def gaps_closed(effects: pd.DataFrame, config: Config) -> str:
    """The share of the gap between the groups that MSC close, of the leading readouts; or that there is none."""
    rows = rows_of(effects, "gap_closed", leading(effects)[1])
    if rows.empty:
        return "No share of a gap between groups can be given: no such comparison was planned."
    given, refused = rows[rows["estimate"].notna()], rows[rows["estimate"].isna()]
    each = "; ".join(
        f"{name_of(config, r.assay, r.readout)} ({comparison_of(r, config)}) {share(r.estimate)} ({shares(r)}"
        + (", groups share no run)" if r.status == "confounded_with_run" else ")")
        for r in given.itertuples()
    )
    said = [f"Share of the gap between the groups that is closed: {each}."] if each else []
    if len(refused):
        counts = pd.Series([_status(r) for r in refused.itertuples()]).value_counts()
        said.append(
            f"No share is given in {len(refused)} {_many('comparison', len(refused))} ({', '.join(f'{n} {w}' for w, n in counts.items())})."
        )
    return " ".join([*said, *([f"A share describes: {confounders(config)}."] if each else [])])


def share(value: Any) -> str:
    """A share of the gap as a percentage; empty where there is none."""
    return "" if pd.isna(value) else f"{show(round(100 * float(value)))} %"


def shares(row: Any) -> str:
    """The interval of a share."""
    return f"{share(row.ci_low) or 'open below'} to {share(row.ci_high) or 'open above'}"


def confounders(config: Config) -> str:
    """What a gap between the groups may be due to beside the disease, named for every gap."""
    sources = listed([f"{g.label}: {g.control_source}" for g in config.groups if g.control_source])
    return f"the groups differ in the source of their cells{f' ({sources})' if sources else ''}, and may in smoking, age and calendar time"


def confounders_found(confounding: pd.DataFrame, config: Config) -> list[str]:
    """Which factors part the groups in this study; a sentence a pair of groups.

    Parameters
    ----------
    confounding
        The output table ``confounding``; only rows of two groups count.
    config
        study.yaml, for labels.
    """
    labels = {g.code: g.label for g in config.groups}
    rows = between_groups(confounding, config)
    if rows.empty:
        return ["No two groups were measured, so nothing can part them."]
    said = []
    for (sick, well), part in rows.groupby(["disease", "control"], sort=False):
        apart, partly = (_factors(part[part["status"] == s]) for s in ("separate", "partly"))
        found = f"share no {apart}" if apart else "share a level of every factor that is recorded"
        some = f"; only some donors share {partly}" if partly else ""
        said.append(f"{labels[sick]} and {labels[well]} donors {found}{some}.")
    return said


def between_groups(confounding: pd.DataFrame, config: Config) -> pd.DataFrame:
    """Rows of ``confounding`` on two groups, not on two conditions."""
    codes = [g.code for g in config.groups]
    return confounding[confounding["disease"].isin(codes) & confounding["control"].isin(codes)]


def _factors(rows: pd.DataFrame) -> str:
    named: dict[str, list[str]] = {}
    for row in rows.itertuples():
        named.setdefault(FACTORS.get(row.factor, row.factor), []).append(str(row.assay).replace("_", " "))
    where = {factor: listed([a for a in assays if a]) for factor, assays in named.items()}
    return listed([f"{factor} ({assays})" if assays else factor for factor, assays in where.items()])


def differences(effects: pd.DataFrame, config: Config) -> str:
    """Whether the change differs between the groups, for the leading readouts; only this may say so."""
    rows = rows_of(effects, "interaction", leading(effects)[1])
    given = rows[rows["estimate"].notna()]
    if given.empty:
        return "The changes of two groups cannot be compared."
    sound = given[given["status"] == "ok"]
    aside = len(given) - len(sound)
    also = f" Of {aside} more there is an estimate without p, which settles nothing." if aside else ""
    if sound.empty:
        return f"Whether the groups differ in their change is not settled: of {aside} {_many('comparison', aside)} there is an estimate without p."
    clear = [r for r in sound.itertuples() if side(r.ci_low, r.ci_high)]
    if not clear:
        return f"In none of {len(sound)} comparisons does the interval of the difference of changes leave zero out; that is no evidence that the groups respond alike.{also}"
    named = "; ".join(
        f"{name_of(config, r.assay, r.readout)} ({groups_of(r, config)}; {comparison_of(r, config)}) {size(r)}"
        for r in clear
    )
    return f"The change differs between the groups, with an interval that leaves zero out, in {len(clear)} of {len(sound)} comparisons: {named}. It may do so for any reason that parts the groups.{also}"


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
    turned = some[some["n_methods"] != some["n_same_sign"]]
    moved = some[some["n_intervals"] != some["n_same_side"]]
    not_sign = f" (it turns for {_rows(turned, config)})" if len(turned) else ""
    not_side = f" (not for {_rows(moved, config)})" if len(moved) else ""
    said = [
        f"Computed in other ways, the sign holds in {len(some) - len(turned)} of {len(some)} estimates{not_sign}.",
        f"Every other interval lies on the same side of zero, or holds it as the first does, in {len(some) - len(moved)} of {len(some)}{not_side}.",
    ]
    firm = tally[((tally["ci_low"] > 0) | (tally["ci_high"] < 0)) & tally["one_donor"].notna()]
    if len(firm):
        n = int(firm["one_donor"].eq(True).sum())
        said.append(
            f"Of {len(firm)} estimates whose interval leaves zero out, leaving out one donor turns the sign of {n or 'none'}."
        )
    return " ".join(said)


def _rows(rows: pd.DataFrame, config: Config) -> str:
    return listed(
        [
            f"{name_of(config, r.assay, r.readout)} ({groups_of(r, config)}; {comparison_of(r, config)})"
            for r in rows.itertuples()
        ]
    )


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
    n = int(readouts.loc[readouts["group"].isin(config.groups_of("control")), "donor_id"].nunique())
    if n:
        said.append(f"Controls are what was observed in {n} {_many('control', n)}, no healthy range.")
    else:
        said.append("No control donor was measured, so this study itself says nothing of health.")
    if rows_of(effects, "msc_effect", leading(effects)[1])["note"].fillna("").str.contains("source ambiguous").any():
        said.append(
            "Where a note says source ambiguous, MSC secrete the analyte themselves: more of it is no change of the macrophages."
        )
    return [*said, "A change in a dish is not yet one in a patient; this page is for research, not for care."]


def lots(readouts: pd.DataFrame) -> str:
    """For which MSC lots the effects stand."""
    used = lots_used(readouts)
    if not used:
        return "No MSC lot is recorded, so it is not known for which lots these effects stand."
    if len(used) == 1:
        return f"One MSC lot was used: what is said applies to this lot ({used[0]})."
    return f"{len(used)} MSC lots were used: what is said applies to these lots ({listed(used)})."


def budget(planning: pd.DataFrame) -> list[str]:
    """What narrows the intervals most: one more donor, culture or assay well.

    Parameters
    ----------
    planning
        Rows of the output table ``planning``.
    """
    more = planning[planning["scenario"].isin(list(MORE))]
    keys = ["contrast_id", "assay", "readout", "timepoint_h", "assay_minutes"]
    parted = more[more.groupby(keys, dropna=False)["variance_share"].transform("count") > 0]
    if parted.empty:
        return ["No comparison has donors with two independent cultures of one arm, so the spread cannot be parted."]
    best = parted.sort_values("half_width", kind="stable").drop_duplicates(keys)["scenario"].value_counts()
    donor = parted.loc[parted["scenario"] == "donor", "variance_share"]
    n = len(donor)
    return [
        f"In {n} {_many('comparison', n)} whose spread can be parted, differences between donors make {share(donor.min())} to {share(donor.max())} of the variance of a donor's change.",
        f"What narrows the interval most: {listed([f'one more {MORE[str(s)]} in {k}' for s, k in best.items()])}.",
    ]


MORE = {"donor": "donor", "culture": "culture an arm", "assay": "assay well a culture"}


def _status(row: Any) -> str:
    return "without a finite one" if row.status == "ok" else str(row.status).replace("_", " ")


def _many(word: str, n: int) -> str:
    return word if n == 1 else word + "s"


def listed(words: list[str]) -> str:
    """Words with commas, and the last with *and*; with semicolons where a word has a comma of its own.

    Examples
    --------
    >>> listed(["a", "b", "c"]), listed(["a"]), listed([]), listed(["a, b", "c"])
    ('a, b and c', 'a', '', 'a, b; c')
    """
    if any("," in word for word in words):
        return "; ".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)
