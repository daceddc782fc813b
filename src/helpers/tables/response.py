"""Readable views of the response to MSC: roles, changes, shares of the gap, responders, sensitivity, lots, planning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from helpers.core.numbers import show, show_interval, show_p
from helpers.stats import response as computed
from helpers.stats import summary as said
from helpers.stats.response import leading, rows_of
from helpers.study.config import Config
from helpers.tables.base import TableView, show_table
from helpers.tables.effects import Paragraphs
from helpers.tables.words import EFFECT_NOTES

_WAYS = {"up": "▲ higher", "down": "▼ lower", "": "not known"}
_SOURCES = {"plan": "plan", "own gap": "this study's own gap", "": ""}
_BASES = {"log2": 2.0, "logit": float(np.e)}


# ---- sentences


def summary_view(
    effects: pd.DataFrame, sensitivity: pd.DataFrame, readouts: pd.DataFrame, config: Config
) -> Paragraphs:
    """The plain-language summary; see `helpers.stats.summary.plain_summary`.

    Parameters
    ----------
    effects, sensitivity, readouts
        The output tables.
    config
        study.yaml.
    """
    tally = computed.sensitivity_tally(effects, sensitivity, "msc_effect", leading(effects)[1])
    return Paragraphs("\n".join(said.plain_summary(effects, tally, readouts, config)))


def gap_words_view(effects: pd.DataFrame, confounding: pd.DataFrame, config: Config) -> Paragraphs:
    """Shares of the gap, and what parts the groups beside the disease, in sentences.

    Parameters
    ----------
    effects, confounding
        The output tables.
    config
        study.yaml.
    """
    return Paragraphs("\n".join([*said.gaps_closed(effects, config), *said.confounders_found(confounding, config)]))


def stability_view(effects: pd.DataFrame, sensitivity: pd.DataFrame, config: Config) -> Paragraphs:
    """Whether estimates hold when computed in other ways, in sentences."""
    tally = computed.sensitivity_tally(effects, sensitivity, "msc_effect", leading(effects)[1])
    return Paragraphs(said.stability(tally, config))


def lots_words_view(readouts: pd.DataFrame) -> Paragraphs:
    """For which MSC lots the effects stand, in a sentence."""
    return Paragraphs(said.lots(readouts))


def budget_words_view(
    readouts: pd.DataFrame, effects: pd.DataFrame, donors: pd.DataFrame, config: Config
) -> Paragraphs:
    """What would narrow the intervals most, in sentences; arguments as in `budget_view`."""
    changes = computed.donor_changes(readouts, effects, donors, config, leading(effects)[1])
    return Paragraphs("\n".join(said.budget_words(computed.budgets(changes, readouts), config)))


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
    rows = effects[(effects["contrast"] == "msc_effect")]
    lines = [_role(rows_of(rows, "msc_effect", [name]), effects, config) for name in names]
    exploratory = len(said.of_all(effects)) - len(names)
    return show_table(
        pd.DataFrame(lines, columns=list(_ROLES)),
        "What counts most, and which way is toward health.",
        (
            f"Exploratory, and not in this table: {exploratory} readouts.",
            "Own gap: the way toward this study's controls, where the interval of the gap in the untreated condition leaves zero out. The same untreated values stand in gap and change, so chance alone moves extreme donors toward the controls.",
        ),
        _ROLES,
        file="tables/effects.csv",
    )


_ROLES = {
    "readout": "Readout",
    "assay": "Assay",
    "role": "Role",
    "stated": "Stated by",
    "scale": "Scale",
    "way": "Toward health",
    "source": "Source",
    "own": "Own gap",
}
_STATED = {"plan": "dated and hashed plan", "declared": "the user", "no": ""}
_SCALES = {"log2": "fold change", "logit": "odds ratio", "identity": "difference"}


def _role(rows: pd.DataFrame, effects: pd.DataFrame, config: Config) -> dict[str, Any]:
    row = next(rows.itertuples())
    way = computed.direction(effects, config, row)
    return {
        "readout": said.name_of(config, row.assay, row.readout),
        "assay": row.assay,
        "role": row.role,
        "stated": _STATED.get(row.prespecified, ""),
        "scale": _SCALES.get(row.scale, ""),
        "way": _WAYS[way.way],
        "source": ": ".join(filter(None, [_SOURCES[way.source], way.cited])),
        "own": {"up": "▲ higher", "down": "▼ lower", "": "no say"}[way.own],
    }


def _key_words(row: Any, config: Config) -> dict[str, str]:
    return {
        "readout": said.name_of(config, row.assay, row.readout),
        "group": said.group_of(row, config),
        "comparison": said.arms_of(row, config),
    }


_KEYS = {"readout": "Readout", "group": "Group", "comparison": "Comparison"}


def changes_view(effects: pd.DataFrame, config: Config, role: str = "") -> TableView:
    """The effect of MSC on the leading readouts: estimate, interval, direction, adjusted p beside the raw one.

    Parameters
    ----------
    effects
        The output table ``effects``.
    config
        study.yaml.
    role
        primary, secondary or exploratory; empty for the role that leads.
    """
    names = computed.of_role(effects, role) if role else leading(effects)[1]
    lines = [_change(row, effects, config) for row in rows_of(effects, "msc_effect", names).itertuples()]
    return show_table(
        pd.DataFrame(lines, columns=list(_CHANGES)),
        f"Effect of MSC on {role or leading(effects)[0]} readouts.",
        EFFECT_NOTES,
        _CHANGES,
        file="tables/effects.csv",
    )


_CHANGES = _KEYS | {
    "n": "Donors\npairs",
    "effect": "Effect",
    "interval": "95 % interval",
    "way": "Toward health",
    "left_out": "One donor left out",
    "p": "p",
    "p_adjusted": "Adjusted p",
    "family_size": "Family",
    "status": "Status and note",
}


def _change(row: Any, effects: pd.DataFrame, config: Config) -> dict[str, Any]:
    kind, base = _kind(row)
    way = computed.direction(effects, config, row)
    status = "" if row.status == "ok" else str(row.status).replace("_", " ")
    low, high = (_on(row.loo_low, base), _on(row.loo_high, base))
    return _key_words(row, config) | {
        "n": 0 if pd.isna(row.n_pairs) else int(row.n_pairs),
        "effect": f"{show(_on(row.estimate, base))} {kind}".strip() if pd.notna(row.estimate) else "",
        "interval": show_interval(_on(row.ci_low, base), _on(row.ci_high, base)),
        "way": _WAYS[way.way] + (f" ({way.source})" if way.source else ""),
        "left_out": show_interval(low, high),
        "p": show_p(_number(row.p)),
        "p_adjusted": show_p(_number(row.p_adjusted)),
        "family_size": "" if pd.isna(row.family_size) or pd.isna(row.p) else str(int(row.family_size)),
        "status": ". ".join(filter(None, [status, _text(row.note)])),
    }


def _kind(row: Any) -> tuple[str, float]:
    """The word of a row's unit, and the base that takes it from the scale of analysis to a ratio (0 for none)."""
    ratio = getattr(row, "ratio_kind", "")
    ratio = ratio if ratio in ("fold", "odds") else {"log2": "fold", "logit": "odds"}.get(row.scale, "")
    base = {"fold": _BASES["log2"], "odds": _BASES["logit"]}.get(ratio, 0.0)
    return (ratio or (row.unit if isinstance(row.unit, str) else "")), base


def _on(value: Any, base: float) -> float:
    number = float("nan") if pd.isna(value) else float(value)
    return base**number if base else number


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)


# ---- gap, responders, sensitivity


def gap_closed_view(effects: pd.DataFrame, config: Config) -> TableView:
    """Share of the gap between the groups that MSC close, with every refusal and its reason.

    Parameters
    ----------
    effects
        The output table ``effects``.
    config
        study.yaml.
    """
    rows = rows_of(effects, "gap_closed", leading(effects)[1])
    lines = [
        _key_words(row, config)
        | {
            "share": "not estimable" if pd.isna(row.estimate) else f"{show(100 * float(row.estimate))} %",
            "interval": _share_interval(row),
            "status": ". ".join(
                filter(None, ["" if row.status == "ok" else str(row.status).replace("_", " "), _text(row.note)])
            ),
        }
        for row in rows.itertuples()
    ]
    return show_table(
        pd.DataFrame(lines, columns=list(_GAP)),
        "Share of the gap between the groups that is closed.",
        (
            "100 %: as the controls; 0 %: as without MSC; above 100 %: past the controls. Not estimable where the gap itself cannot be told from none: no share of it means anything then.",
            f"A share describes; {said.confounders(config)}.",
        ),
        _GAP,
        file="tables/effects.csv",
    )


_GAP = _KEYS | {"share": "Share closed", "interval": "95 % interval", "status": "Status and note"}


def _share_interval(row: Any) -> str:
    low, high = (None if pd.isna(v) else 100 * float(v) for v in (row.ci_low, row.ci_high))
    return "" if low is None or high is None else f"{show_interval(low, high)} %"


def confounders_view(confounding: pd.DataFrame, config: Config) -> TableView:
    """Which factors the groups share, and which part them.

    Parameters
    ----------
    confounding
        The output table ``confounding``.
    config
        study.yaml.
    """
    codes = {g.code for g in config.groups}
    rows = confounding[confounding["disease"].isin(codes) & confounding["control"].isin(codes)]
    order = {"separate": 0, "partly": 1, "shared": 2}
    rows = rows.sort_values("status", key=lambda s: s.map(order), kind="stable")
    shown = rows.assign(
        factor=rows["factor"].map(lambda f: said.FACTORS.get(f, f)), assay=rows["assay"].str.replace("_", " ")
    )[list(_CONFOUNDERS)]
    sources = [f"{g.label}: {g.control_source}" for g in config.groups if g.control_source]
    notes = (
        f"Source of the controls' cells: {'; '.join(sources)}."
        if sources
        else "The source of the controls' cells is not stated.",
    )
    return show_table(shown, "What else may part the groups.", notes, _CONFOUNDERS, file="tables/confounding.csv")


_CONFOUNDERS = {
    "factor": "Factor",
    "assay": "Assay",
    "n_disease_levels": "Levels\ndisease",
    "n_control_levels": "Levels\ncontrol",
    "n_shared": "Shared",
    "status": "Status",
    "note": "In words",
}


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
        pd.DataFrame(lines, columns=list(_RESPONDERS)),
        "Donors who changed more than measurement error.",
        (
            "Measurement error: the spread between independent cultures of one arm. Where no donor has two, responders cannot be told.",
            "A count describes; no test is made of it, since a yes or no loses what the change itself holds.",
        ),
        _RESPONDERS,
        file="tables/responders.csv",
    )


_RESPONDERS = _KEYS | {
    "direction": "Change",
    "health": "Toward health",
    "count": "Donors",
    "interval": "95 % interval\n%",
    "smallest": "Smallest detectable change",
    "who": "Who",
    "note": "Note",
}


def _responder(row: Any, effects: pd.DataFrame, config: Config) -> dict[str, Any]:
    kind, base = _kind(row)
    if pd.isna(row.k):
        return _key_words(row, config) | dict.fromkeys(list(_RESPONDERS)[3:-1], "") | {"note": _text(row.note)}
    way = computed.direction(effects, config, row).way
    return _key_words(row, config) | {
        "direction": {"up": "▲ higher", "down": "▼ lower"}[row.direction],
        "health": "" if not way else "yes" if way == row.direction else "no",
        "count": f"{int(row.k)} of {int(row.n)}",
        "interval": show_interval(100 * float(row.ci_low), 100 * float(row.ci_high)),
        "smallest": f"{show(_on(row.smallest_detectable_change, base))} {kind}".strip(),
        "who": row.donors,
        "note": _text(row.note),
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
    lines = [_tallied(row, config) for row in tally.itertuples()]
    return show_table(
        pd.DataFrame(lines, columns=list(_TALLY)),
        "Do sign and interval hold when the estimate is computed in other ways?",
        (
            "Same side: the other interval lies on the same side of zero as the first one, or holds zero as that does.",
            "Range: over analyses on the same scale. Every row of every method stands in the notebooks of the assays.",
        ),
        _TALLY,
        file="tables/effects_sensitivity.csv",
    )


_TALLY = _KEYS | {
    "effect": "Effect",
    "range": "Range of other analyses",
    "sign": "Same sign",
    "side": "Interval on the same side",
    "one_donor": "Sign turns without one donor",
    "differs": "Which differ",
}


def _tallied(row: Any, config: Config) -> dict[str, Any]:
    kind, base = _kind(row)
    return _key_words(row, config) | {
        "effect": f"{show(_on(row.estimate, base))} {kind} ({show_interval(_on(row.ci_low, base), _on(row.ci_high, base))})",
        "range": show_interval(_on(row.low, base), _on(row.high, base)),
        "sign": f"{row.n_same_sign} of {row.n_methods}",
        "side": f"{row.n_same_side} of {row.n_intervals}",
        "one_donor": "" if row.one_donor is None or pd.isna(row.one_donor) else "yes" if row.one_donor else "no",
        "differs": "; ".join(dict.fromkeys(filter(None, f"{row.other_sign}; {row.other_side}".split("; ")))),
    }


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
        "Changes are turned so that up is toward health as the plan states it; readouts without a stated direction are not among them.",
    )


def covariates_view(concordance: pd.DataFrame, effects: pd.DataFrame, config: Config) -> TableView:
    """Rank correlations of donors' changes with clinical values; they describe. As `concordance_view`."""
    return _correlations(
        computed.with_covariates(concordance),
        effects,
        config,
        "Changes beside clinical values.",
        "Changes are turned so that up is toward health; clinical values are as they are, so a higher severity score is worse.",
    )


def _correlations(rows: pd.DataFrame, effects: pd.DataFrame, config: Config, caption: str, note: str) -> TableView:
    which = effects.drop_duplicates("contrast_id").set_index("contrast_id")
    known = rows[rows["contrast_id"].isin(which.index)]
    named = [which.loc[c] for c in known["contrast_id"]]
    labels = {c.code: c.label for c in config.conditions}
    shown = known.assign(
        group=[said.group_of(r, config) for r in named],
        comparison=[
            f"{labels.get(r['treatment'], r['treatment'])} against {labels.get(r['reference'], r['reference'])}"
            for r in named
        ],
        rho=[show(v) for v in known["rho"]],
        interval=[show_interval(a, b) for a, b in zip(known["ci_low"], known["ci_high"], strict=True)],
        critical=[show(v) for v in known["critical"]],
    )[list(_CORRELATIONS)]
    notes = (
        note,
        "Not to be told from none: correlations below this size arise by chance alone in so few donors. Nothing here was planned to be tested.",
    )
    return show_table(shown, caption, notes, _CORRELATIONS, file="tables/concordance.csv")


_CORRELATIONS = {
    "group": "Group",
    "comparison": "Comparison",
    "first": "First",
    "second": "Second",
    "n": "Donors",
    "rho": "Rank correlation",
    "interval": "95 % interval",
    "critical": "Not to be told from none\nbelow",
    "note": "Note",
}


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
    lines = []
    for row in rows.itertuples():
        kind, base = _kind(row)
        effect = {"lot": row.lot, "n": row.n_donors, "effect": f"{show(_on(row.estimate, base))} {kind}".strip()}
        lines.append(
            _key_words(row, config)
            | effect
            | {"interval": show_interval(_on(row.ci_low, base), _on(row.ci_high, base))}
        )
    return show_table(
        pd.DataFrame(lines, columns=list(_LOTS)),
        "Effects by MSC lot.",
        (
            "Lots are a fixed factor with one common spread: what is said applies to these lots and to no others.",
            "Different donors stand behind different lots, so a difference between lots may be one between donors. No row where a comparison has one lot, fewer than two donors a lot, or values beyond a limit.",
        ),
        _LOTS,
        file="tables/effects_sensitivity.csv",
    )


_LOTS = _KEYS | {"lot": "MSC lot", "n": "Donors", "effect": "Effect", "interval": "95 % interval"}


# ---- the next donors


def precision_view(readouts: pd.DataFrame, effects: pd.DataFrame, donors: pd.DataFrame, config: Config) -> TableView:
    """How wide intervals are, and would be with more donors.

    Parameters
    ----------
    readouts, effects, donors
        The output tables ``readouts``, ``effects`` and ``donors_derived``.
    config
        study.yaml.
    """
    changes = computed.donor_changes(readouts, effects, donors, config, leading(effects)[1])
    lines = [_planned(row, config) for row in computed.precision(changes, config).itertuples()]
    return show_table(
        pd.DataFrame(lines, columns=list(_PRECISION)),
        "Precision now, and with more donors.",
        (
            "By the SD of the changes that are fully observed. Half-width: the interval reaches so far to each side; for ratios, it goes from the estimate divided by it to the estimate times it.",
            "Found by 80 %: the true change that so many pairs find in four of five studies. It says nothing on what was found here.",
        ),
        _PRECISION,
    )


_PRECISION = _KEYS | {
    "which": "Donors",
    "n": "Pairs",
    "sd": "SD of changes\nscale of analysis",
    "half": "Half-width",
    "found": "Found by 80 %",
}
_WHICH = {"now": "as observed", "planned": "as planned", "doubled": "twice as many"}


def _planned(row: Any, config: Config) -> dict[str, Any]:
    kind, base = _kind(row)
    sign = "×/÷ " if base else "± "
    return _key_words(row, config) | {
        "which": _WHICH[row.which],
        "n": int(row.n_pairs),
        "sd": show(float(row.sd_change)),
        "half": f"{sign}{show(_on(row.half_width, base))}" + ("" if base else f" {kind}"),
        "found": f"{show(_on(row.detectable_80, base))} {kind}".strip(),
    }


def budget_view(readouts: pd.DataFrame, effects: pd.DataFrame, donors: pd.DataFrame, config: Config) -> TableView:
    """Where the spread comes from, and the half-width with one more donor, culture or well. As `precision_view`."""
    changes = computed.donor_changes(readouts, effects, donors, config, leading(effects)[1])
    lines = [_budgeted(row, config) for row in computed.budgets(changes, readouts).itertuples()]
    return show_table(
        pd.DataFrame(lines, columns=list(_BUDGET)),
        "Where the spread of a donor's change comes from.",
        ("Half-widths on the scale of analysis: log2 units, logit units, or the readout's own.",),
        _BUDGET,
    )


_BUDGET = _KEYS | {
    "design": "Donors × cultures × wells",
    "source": "Source",
    "share": "Share\n%",
    "half": "Half-width now",
    "more": "With one more",
    "note": "Note",
}
_SPREADS = {"donor": "between donors", "culture": "between cultures of an arm", "assay": "between assay wells"}


def _budgeted(row: Any, config: Config) -> dict[str, Any]:
    known = isinstance(row.source, str)
    return _key_words(row, config) | {
        "design": f"{row.n_pairs} × {row.cultures} × {row.assay_wells}",
        "source": _SPREADS[row.source] if known else "",
        "share": show(round(100 * float(row.share))) if known else "",
        "half": show(float(row.half_width)) if known else "",
        "more": show(float(row.half_width_one_more)) if known else "",
        "note": _text(row.note),
    }
