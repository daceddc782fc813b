"""Readable views of the response to MSC: roles, changes, shares of the gap, responders, sensitivity, lots, planning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from helpers.core.numbers import show, show_interval, show_p
from helpers.stats import response as computed
from helpers.stats import summary as said
from helpers.stats.labels import arms_of, comparison_of, difference_unit, groups_of, name_of
from helpers.stats.response import leading, rows_of
from helpers.study.config import Config
from helpers.tables import words
from helpers.tables.base import TableView, show_table
from helpers.tables.effects import Paragraphs

MOST_NAMED = 5
"""Estimates that another program does not confirm, named in one cell."""

# ---- sentences


def summary_view(
    effects: pd.DataFrame, sensitivity: pd.DataFrame, readouts: pd.DataFrame, config: Config
) -> Paragraphs:
    """The plain-language summary; see `helpers.stats.summary.plain_summary`."""
    tally = computed.sensitivity_tally(effects, sensitivity, "msc_effect", leading(effects)[1])
    return Paragraphs("\n".join(said.plain_summary(effects, tally, readouts, config)))


def gap_words_view(effects: pd.DataFrame, confounding: pd.DataFrame, config: Config) -> Paragraphs:
    """Shares of the gap, and what parts the groups beside the disease, in sentences."""
    return Paragraphs("\n".join([said.gaps_closed(effects, config), *said.confounders_found(confounding, config)]))


def differences_view(effects: pd.DataFrame, config: Config) -> Paragraphs:
    """Whether the change differs between the groups, in a sentence."""
    return Paragraphs(said.differences(effects, config))


def stability_view(effects: pd.DataFrame, sensitivity: pd.DataFrame, config: Config) -> Paragraphs:
    """Whether estimates hold when computed in other ways, in sentences."""
    tally = computed.sensitivity_tally(effects, sensitivity, "msc_effect", leading(effects)[1])
    return Paragraphs(said.stability(tally, config))


def lots_words_view(readouts: pd.DataFrame) -> Paragraphs:
    """For which MSC lots the effects stand, in a sentence."""
    return Paragraphs(said.lots(readouts))


def budget_words_view(planning: pd.DataFrame, effects: pd.DataFrame) -> Paragraphs:
    """What would narrow the intervals most, in sentences."""
    return Paragraphs("\n".join(said.budget(computed.changes_of(planning, leading(effects)[1]))))


# ---- roles and changes


def roles_view(effects: pd.DataFrame, config: Config) -> TableView:
    """Primary and secondary readouts with their direction toward health and who says so.

    Parameters
    ----------
    effects
        The output table ``effects``.
    config
        study.yaml.
    """
    names = [*computed.of_role(effects, "primary"), *computed.of_role(effects, "secondary")]
    lines = [_role(next(rows_of(effects, "msc_effect", [name]).itertuples()), effects, config) for name in names]
    exploratory = pd.Series([a for a, _ in computed.of_role(effects, "exploratory")], dtype=object).value_counts()
    counted = said.listed([f"{n} of {a.replace('_', ' ')}" for a, n in exploratory.sort_index().items()])
    return show_table(
        pd.DataFrame(lines, columns=list(words.ROLE_COLUMNS)),
        "What counts most, and which way is toward health.",
        (
            f"Exploratory, and not in this table: {counted or 'none'}.",
            "Own gap: the way toward this study's controls, where the interval of the gap without MSC leaves zero out. The same values without MSC stand in gap and change, so chance alone moves extreme donors toward the controls.",
        ),
        words.ROLE_COLUMNS,
        file="tables/effects.csv",
    )


def _role(row: Any, effects: pd.DataFrame, config: Config) -> dict[str, Any]:
    way = computed.direction(effects, config, row)
    return {
        "readout": name_of(config, row.assay, row.readout),
        "assay": row.assay,
        "role": row.role,
        "stated": words.STATED_BY.get(row.prespecified, ""),
        "scale": words.SCALES.get(row.scale, ""),
        "way": words.WAYS[way.way],
        "source": ": ".join(filter(None, [words.SOURCES[way.source], way.cited])),
        "own": words.WAYS[way.own] if way.own else "no say",
    }


def changes_view(effects: pd.DataFrame, config: Config, rank: str = "leading") -> TableView:
    """The effect of co-culture: estimate, interval, direction, range without one donor, adjusted p beside the raw one.

    Parameters
    ----------
    effects
        The output table ``effects``.
    config
        study.yaml.
    rank
        Which readouts: ``leading``, or ``following``, the secondary ones where primary ones lead.
    """
    role, names = computed.ranked(effects, rank)
    lines = [_change(row, effects, config) for row in rows_of(effects, "msc_effect", names).itertuples()]
    return show_table(
        pd.DataFrame(lines, columns=list(words.CHANGE_COLUMNS)),
        f"Effect of co-culture with MSC on {role} readouts.",
        (
            _level(config),
            words.EFFECT_NOTES[1],
            "One donor left out: the least and the largest estimate without any one donor.",
        ),
        words.CHANGE_COLUMNS,
        file="tables/effects.csv",
    )


def _change(row: Any, effects: pd.DataFrame, config: Config) -> dict[str, Any]:
    way = computed.direction(effects, config, row)
    return _compared(row, config) | {
        "n": 0 if pd.isna(row.n_pairs) else int(row.n_pairs),
        "effect": _amount(row, row.estimate),
        "interval": _interval(row, row.ci_low, row.ci_high),
        "way": words.WAYS[way.way] + (f" ({way.source})" if way.source else ""),
        "left_out": _interval(row, row.loo_low, row.loo_high),
        "p": show_p(_number(row.p)),
        "p_adjusted": show_p(_number(row.p_adjusted)),
        "family_size": "" if pd.isna(row.family_size) or pd.isna(row.p) else show(int(row.family_size)),
        "status": _status(row),
    }


def _compared(row: Any, config: Config) -> dict[str, str]:
    return {
        "readout": name_of(config, row.assay, row.readout),
        "group": groups_of(row, config),
        "comparison": comparison_of(row, config),
    }


def _base(row: Any) -> tuple[str, float]:
    """The word behind a row's numbers, and the base that takes them from the scale of analysis to a ratio, or 0."""
    kind = computed.axis_kind(row)
    word = {"fold": "fold", "odds": "odds", "detection": "odds of detection"}.get(kind)
    return (word, computed.BASES[kind]) if word else (difference_unit(row.unit), 0.0)


def _amount(row: Any, value: Any) -> str:
    word, base = _base(row)
    return "" if pd.isna(value) else f"{show(computed.on_ratio(value, base))} {word}".strip()


def _interval(row: Any, low: Any, high: Any) -> str:
    base = _base(row)[1]
    return show_interval(computed.on_ratio(low, base), computed.on_ratio(high, base))


def _level(config: Config) -> str:
    return f"Intervals have level {100 * (1 - config.settings['alpha']):g} %."


def _status(row: Any) -> str:
    status = "" if row.status == "ok" else str(row.status).replace("_", " ")
    return ". ".join(filter(None, [status, _text(row.note)]))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)


# ---- gap, responders, sensitivity


def gap_closed_view(effects: pd.DataFrame, config: Config) -> TableView:
    """Share of the gap between the groups that co-culture closes, with every refusal and its reason.

    Parameters
    ----------
    effects
        The output table ``effects``.
    config
        study.yaml.
    """
    lines = [
        _compared(row, config)
        | {
            "share": said.share(row.estimate) or "not estimable",
            "interval": "" if pd.isna(row.estimate) else said.shares(row),
            "status": _status(row),
        }
        for row in rows_of(effects, "gap_closed", leading(effects)[1]).itertuples()
    ]
    return show_table(
        pd.DataFrame(lines, columns=list(words.GAP_COLUMNS)),
        "Share of the gap between the groups that is closed.",
        (
            _level(config),
            "100 %: as the controls; 0 %: as without MSC; above 100 %: past the controls. Not estimable where the gap itself is not told from none: no share of it means anything then.",
            f"A share describes: {said.confounders(config)}.",
        ),
        words.GAP_COLUMNS,
        file="tables/effects.csv",
    )


def confounders_view(confounding: pd.DataFrame, config: Config) -> TableView:
    """Which factors the groups share, and which part them.

    Parameters
    ----------
    confounding
        The output table ``confounding``.
    config
        study.yaml.
    """
    rows = said.between_groups(confounding, config)
    order = {"separate": 0, "partly": 1, "shared": 2}
    rows = rows.sort_values("status", key=lambda s: s.map(order), kind="stable")
    factors = rows["factor"].map(lambda f: said.FACTORS.get(f, f))
    shown = rows.assign(factor=factors, assay=rows["assay"].str.replace("_", " "))[list(words.CONFOUNDER_COLUMNS)]
    return show_table(
        shown,
        "What else may part the groups.",
        (
            "Separate: no level is common to both groups, so a gap may be that factor's. Partly: some donors stand in levels of one group only.",
            f"Whatever stands here, {said.confounders(config)}.",
        ),
        words.CONFOUNDER_COLUMNS,
        file="tables/confounding.csv",
    )


def responders_view(responders: pd.DataFrame, effects: pd.DataFrame, config: Config) -> TableView:
    """How many donors changed more than measurement error, each way, with Clopper–Pearson intervals.

    Parameters
    ----------
    responders, effects
        The output tables.
    config
        study.yaml.
    """
    rows = computed.responders_of(responders, effects)
    lines = [_responder(row, effects, config) for row in rows.itertuples()]
    return show_table(
        pd.DataFrame(lines, columns=list(words.RESPONDER_COLUMNS)),
        "Donors who changed more than measurement error.",
        (
            _level(config),
            "Measurement error: the spread between independent cultures of one arm. Where no donor has two, responders cannot be told.",
            "A count describes; it is not tested, since a yes or no loses what the change itself holds.",
        ),
        words.RESPONDER_COLUMNS,
        file="tables/responders.csv",
    )


def _responder(row: Any, effects: pd.DataFrame, config: Config) -> dict[str, Any]:
    shown: dict[str, Any] = _compared(row, config) | {"note": _text(row.note)}
    if pd.isna(row.k):
        return shown
    way = computed.direction(effects, config, row).way
    return shown | {
        "direction": words.WAYS[row.direction],
        "health": "" if not way else "yes" if way == row.direction else "no",
        "count": f"{show(int(row.k))} of {show(int(row.n))}",
        "interval": show_interval(100 * float(row.ci_low), 100 * float(row.ci_high)),
        "smallest": _amount(row, row.smallest_detectable_change),
        "donors": row.donors,
    }


def sensitivity_summary_view(effects: pd.DataFrame, sensitivity: pd.DataFrame, config: Config) -> TableView:
    """How the other analyses of each leading estimate compare with it, by sign and interval.

    Parameters
    ----------
    effects, sensitivity
        The output tables.
    config
        study.yaml.
    """
    tally = computed.sensitivity_tally(effects, sensitivity, "msc_effect", leading(effects)[1])
    return show_table(
        pd.DataFrame([_tallied(row, config) for row in tally.itertuples()], columns=list(words.TALLY_COLUMNS)),
        "Do sign and interval hold when the estimate is computed in other ways?",
        (
            _level(config),
            "Same side: the other interval lies on the same side of zero as the first one, or holds zero as that does.",
            "Range: over analyses on the same scale. Every row of every method stands in tables/effects_sensitivity.csv.",
        ),
        words.TALLY_COLUMNS,
        file="tables/effects_sensitivity.csv",
    )


def _tallied(row: Any, config: Config) -> dict[str, Any]:
    differing = filter(None, f"{row.other_sign}; {row.other_side}".split("; "))
    return _compared(row, config) | {
        "effect": f"{_amount(row, row.estimate)} ({_interval(row, row.ci_low, row.ci_high) or 'open'})",
        "range": _interval(row, row.low, row.high) if row.n_methods else "",
        "sign": f"{row.n_same_sign} of {row.n_methods}",
        "side": f"{row.n_same_side} of {row.n_intervals}",
        "one_donor": "" if pd.isna(row.one_donor) else "yes" if row.one_donor else "no",
        "differs": "; ".join(dict.fromkeys(differing)),
    }


def recomputed_view(effects: pd.DataFrame, recomputed: pd.DataFrame, config: Config) -> TableView:
    """Whether another program gives the same primary estimates, method by method.

    Parameters
    ----------
    effects, recomputed
        The output tables ``effects`` and ``effects_recomputed``.
    config
        study.yaml.
    """
    methods = effects.loc[effects["estimate"].notna(), "method"].str.split(",").str[0].value_counts()
    again = dict(iter(recomputed.groupby("method")))
    lines = [
        {"method": method, "n_estimates": n} | _again(again.get(method, recomputed.head(0)), config)
        for method, n in methods.items()
    ]
    return show_table(
        pd.DataFrame(lines, columns=list(words.AGAIN_COLUMNS)),
        "Does another program give the same numbers?",
        (
            "Computed again: estimate, ratio and number of donors from the table of readouts, interval and p by pingouin, adjusted p by statsmodels. The others hold values beyond a limit, shares of a gap, sums or slopes, and are not.",
            "Same: no number differs by more than a millionth of the interval's half-width, or of p.",
        ),
        words.AGAIN_COLUMNS,
        file="tables/effects_recomputed.csv",
    )


def _again(rows: pd.DataFrame, config: Config) -> dict[str, Any]:
    differing = rows[rows["status"] == "differs"]
    shown = differing.head(MOST_NAMED).itertuples()
    named = [f"{', '.join(_compared(row, config).values())}: {row.note}" for row in shown]
    more = [f"And {len(differing) - MOST_NAMED} more."] if len(differing) > MOST_NAMED else []
    return {"n_again": len(rows), "n_same": len(rows) - len(differing), "differs": " ".join([*named, *more])}


# ---- assays side by side, lots, clinical values


def concordance_view(concordance: pd.DataFrame, effects: pd.DataFrame, config: Config) -> TableView:
    """Rank correlations of donors' changes between readouts of different assays; they describe.

    Parameters
    ----------
    concordance, effects
        The output tables; the second for the comparisons that `contrast_id` names.
    config
        study.yaml.
    """
    return _correlations(
        computed.across_assays(concordance),
        effects,
        config,
        "Do changes of different assays go together, donor by donor?",
        "Changes are turned so that up is toward health as study.yaml states it; readouts without a stated direction are not among them.",
    )


def covariates_view(concordance: pd.DataFrame, effects: pd.DataFrame, config: Config) -> TableView:
    """Rank correlations of donors' changes with clinical values; they describe. As `concordance_view`."""
    return _correlations(
        computed.with_covariates(concordance),
        effects,
        config,
        "Changes beside clinical values.",
        "Changes are turned so that up is toward health as study.yaml states it; clinical values are as they are, so a higher severity score is worse.",
    )


def _correlations(rows: pd.DataFrame, effects: pd.DataFrame, config: Config, caption: str, note: str) -> TableView:
    rows = computed.with_arms(rows, effects)
    shown = rows.assign(
        first=[computed.spoken(f) for f in rows["first"]],
        second=[computed.spoken(s) for s in rows["second"]],
        group=[groups_of(r, config) for r in rows.itertuples()],
        comparison=[arms_of(r, config) for r in rows.itertuples()],
        interval=[show_interval(a, b) for a, b in zip(rows["ci_low"], rows["ci_high"], strict=True)],
        note=rows["note"].map(_text) if len(rows) else "",
    )[list(words.CORRELATION_COLUMNS)]
    why = "A correlation smaller than the last number arises by chance alone in so few donors. None of them was planned to be tested."
    return show_table(
        shown, caption, (_level(config), note, why), words.CORRELATION_COLUMNS, file="tables/concordance.csv"
    )


def lots_view(effects: pd.DataFrame, sensitivity: pd.DataFrame, config: Config) -> TableView:
    """The effect with each MSC lot; it applies to these lots.

    Parameters
    ----------
    effects, sensitivity
        The output tables.
    config
        study.yaml.
    """
    rows = computed.lot_effects(effects, sensitivity, leading(effects)[1])
    lines = [
        _compared(row, config)
        | {"lot": row.msc_lot_id, "n": row.n_donors, "effect": _amount(row, row.estimate)}
        | {"interval": _interval(row, row.ci_low, row.ci_high)}
        for row in rows.itertuples()
    ]
    return show_table(
        pd.DataFrame(lines, columns=list(words.LOT_COLUMNS)),
        "Effects by MSC lot.",
        (
            _level(config),
            "Lots are a fixed factor with one common spread: what is said applies to these lots and to no others. A donor whose lots were averaged counts with none.",
            "Other donors stand behind each lot, so a difference between lots may be one between donors. No row where a comparison has one lot, a lot fewer than two donors, or values beyond a limit.",
        ),
        words.LOT_COLUMNS,
        file="tables/effects_sensitivity.csv",
    )


# ---- the next donors


def planning_view(planning: pd.DataFrame, effects: pd.DataFrame, config: Config) -> TableView:
    """How wide the leading intervals are, and would be with more donors, cultures or assay wells.

    Parameters
    ----------
    planning, effects
        The output tables.
    config
        study.yaml.
    """
    rows = computed.changes_of(planning, leading(effects)[1])
    return show_table(
        pd.DataFrame([_planned(row, config) for row in rows.itertuples()], columns=list(words.PLANNING_COLUMNS)),
        "Precision now, and with more of each.",
        (
            _level(config),
            "By the spread of the changes that are fully observed. Half-width: the interval reaches so far to each side; for ratios, from the estimate divided by it to the estimate times it.",
            "Found by 80 %: the true change that so many pairs find in four of five studies. It says nothing on what was found here.",
            "Share: how much of the variance of a donor's change comes from that which the scenario has one more of.",
        ),
        words.PLANNING_COLUMNS,
        file="tables/planning.csv",
    )


def _planned(row: Any, config: Config) -> dict[str, Any]:
    unit, base = _base(row)
    half = show(computed.on_ratio(row.half_width, base))
    return _compared(row, config) | {
        "scenario": words.SCENARIOS[row.scenario],
        "design": " × ".join(show(int(n)) for n in (row.n_pairs, row.n_cultures, row.n_assay_wells)),
        "share": float("nan") if pd.isna(row.variance_share) else float(np.round(100 * row.variance_share, 1)),
        "half": f"×/÷ {half}" if base else f"± {half} {unit}".strip(),
        "found": _amount(row, row.detectable_80),
        "note": _text(row.note),
    }
