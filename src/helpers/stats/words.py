"""The methods paragraph: what was done, from the plan and the tables, ready for a manuscript."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from helpers.stats.plan import Plan

OTHERWISE = ("eligible donors only", "other scale", "limit halved, for comparison only")
"""What the primary method is also asked of; ends the name of the method in ``effects_sensitivity``."""
_CONTRASTS = {
    "msc_effect": "treatment against its reference in the same donors",
    "positive_control": "positive control against its reference in the same donors",
    "group_gap": "disease against control donors in one condition",
    "interaction": "difference of treatment effects between the groups",
    "gap_closed": "share of the gap between the groups that treatment closes",
    "beyond_additive": "co-culture against the sum of both cells alone",
    "trend": "trend over dose or time",
}


def methods(
    plan: Plan,
    effects: pd.DataFrame,
    sensitivity: pd.DataFrame,
    recomputed: pd.DataFrame,
    versions: Mapping[str, str],
) -> str:
    """A paragraph of the methods actually used: tests, scales, families, numbers, packages.

    Parameters
    ----------
    plan
        The plan of analysis.
    effects, sensitivity, recomputed
        The output tables.
    versions
        Package versions.
    """
    given = effects[effects["estimate"].notna()]
    made = "; ".join(_CONTRASTS[c] for c in dict.fromkeys(effects["contrast"]))
    tests = _listed(given["method"])
    scales = ", ".join(
        f"{s} ({n})" for s, n in effects.drop_duplicates(["assay", "readout"])["scale"].value_counts().items()
    )
    families = effects.loc[effects["p"].notna(), ["family", "family_size", "adjustment"]].drop_duplicates()
    sizes = families["family_size"].astype(int)
    named = ", ".join(f"{a} ({n})" for a, n in families["adjustment"].value_counts().items())
    refused = effects.loc[effects["estimate"].isna(), "status"].value_counts()
    withheld = effects.loc[effects["estimate"].notna() & (effects["status"] != "ok"), "status"].value_counts()
    bounded = (effects["n_censored"].fillna(0) > 0).any()
    sentences = [
        "The donor is the unit of analysis; wells, events and beads were brought together donor by donor before any test"
        + (", but for sums of both cells alone, whose unit is the batch." if _sums(effects) else "."),
        f"Comparisons{' (defaults, since the plan names none)' if plan.compared_by_default else ''}: {made}.",
        f"Readouts by scale of analysis, fixed beforehand: {scales}.",
        f"Primary methods: {tests}.",
        f"Intervals have level {100 * plan.level:g} %; no p is given below {plan.fewest_donors} donors or pairs.",
        "Values beyond a limit entered as bounds: by likelihood up to half of both arms together and with at least five "
        "pairs, or donors a group, fully observed, else by detection; a difference of changes always by likelihood."
        if bounded
        else "",
        f"Values are of visit {plan.visit} unless a comparison names another; several MSC lots of one donor were "
        + (
            "averaged on the scale of analysis."
            if plan.several_lots == "mean"
            else "not averaged: such comparisons were refused where the plan names no lot"
            + (", but for sums of both cells alone, which average them." if _sums(effects) else ".")
        ),
        f"{len(families)} families of {int(sizes.min())} to {int(sizes.max())} tests were adjusted: {named}."
        if len(families)
        else "No test has a p.",
        f"Sensitivity analyses: {_listed(sensitivity['method'])}." if len(sensitivity) else "",
        _again(effects, recomputed),
        _counted("Not estimated", refused),
        _counted("Estimated without p", withheld),
        {
            "plan": "The plan was deposited with a hash before the first unblinding.",
            "declared": "Roles or comparisons were declared by the user; no deposited plan with a hash is older than the first unblinding, so all results are exploratory.",
            "no": "No deposited plan with a hash is older than the first unblinding; all results are exploratory.",
        }[plan.prespecified],
        "Software: " + ", ".join(f"{k} {v}" for k, v in versions.items()) + ".",
    ]
    return " ".join(s for s in sentences if s)


def _sums(effects: pd.DataFrame) -> bool:
    return bool((effects["contrast"] == "beyond_additive").any())


def _counted(what: str, statuses: pd.Series) -> str:
    """How many rows have which status; nothing where there is none."""
    named = ", ".join(f"{'no finite one' if s == 'ok' else s.replace('_', ' ')} {n}" for s, n in statuses.items())
    return f"{what}: {named}." if named else ""


def _again(effects: pd.DataFrame, recomputed: pd.DataFrame) -> str:
    """How many estimates another program was asked for, and with what result."""
    if recomputed.empty:
        return ""
    differing = int((recomputed["status"] == "differs").sum())
    result = f"{differing} differed" if differing else "none differed"
    asked = f"The t tests of pairs and groups ({len(recomputed)} of {int(effects['estimate'].notna().sum())} estimates)"
    return f"{asked} were computed a second time by pingouin; {result} by more than rounding."


def _listed(methods: pd.Series) -> str:
    """Methods by frequency, without what follows their first comma, then the other donors and scales they were asked of."""
    known = methods.dropna()
    again = known.str.endswith(tuple(f", {way}" for way in OTHERWISE))
    heads = known[~again].str.split(",").str[0].str.replace(r"MSC lot \S+", "MSC lot by lot", regex=True)
    ways = [f"the primary method ({way})" for way in OTHERWISE if known.str.endswith(f", {way}").any()]
    return ", ".join([*heads.value_counts().index, *ways])
