"""How much a change of percent phagocytic hangs on the quantile that sets the threshold; donors are the unit."""

from __future__ import annotations

import pandas as pd

from helpers.stats.estimate import NotEstimable
from helpers.stats.paired import paired_t
from helpers.study.config import Config


def changes_by_quantile(thresholds: pd.DataFrame, donors: pd.DataFrame, config: Config) -> pd.DataFrame:
    """Mean change of donors (treatment − reference, points) at each quantile, with a t interval.

    Parameters
    ----------
    thresholds
        The output table ``uptake_thresholds``.
    donors
        donor_id and group.
    config
        study.yaml.

    Returns
    -------
    target, group, treatment, quantile, n_donors, change, low, high; donors with both arms.
    """
    groups = donors.set_index("donor_id")["group"]
    rows = []
    keys = ["donor_id", "target", "minutes", "quantile"]
    means = thresholds.groupby([*keys, "condition"])["pct_positive"].mean().unstack("condition")
    for condition in config.conditions:
        if condition.role != "treatment" or not {condition.code, condition.compare_to} <= set(means.columns):
            continue
        change = (means[condition.code] - means[condition.compare_to]).dropna().rename("change").reset_index()
        change["group"] = change["donor_id"].map(groups)
        for (target, group, quantile), own in change.groupby(["target", "group", "quantile"], sort=True):
            try:
                found = paired_t(own.groupby("donor_id")["change"].mean().to_numpy(), 0.95)
            except NotEstimable:
                continue
            rows.append(
                (
                    target,
                    group,
                    condition.code,
                    quantile,
                    own["donor_id"].nunique(),
                    found.estimate,
                    found.low,
                    found.high,
                )
            )
    columns = ["target", "group", "treatment", "quantile", "n_donors", "change", "low", "high"]
    return pd.DataFrame(rows, columns=columns)
