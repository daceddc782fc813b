"""How long the table of effects takes: 60 readouts, 18 + 8 donors, 6 contrasts, all sensitivity analyses, one thread.

Run with ``.venv/bin/python benchmarks/effects.py``. The peer, in the same run on the same machine, is what a careful
script does with pingouin and statsmodels for the same rows and gives less: a t test, a rank test and a BCa interval a
comparison, and a mixed model by REML where two conditions are compared. A third of the readouts has values below the
limit (one in ten), which the script drops. Then max-T alone: 2^13 sign vectors, and 2^20 with the most memory it held.
"""

from __future__ import annotations

import time
import tracemalloc
import warnings

import numpy as np
import pandas as pd
import pingouin
import statsmodels.formula.api as smf
from threadpoolctl import threadpool_limits

from helpers.core.numbers import SEED
from helpers.stats.effects import effects
from helpers.stats.multiplicity import max_t_paired
from helpers.stats.plan import Contrast, Plan

READOUTS = 60
DONORS = [(f"P{i:02d}", "apap") for i in range(18)] + [(f"C{i:02d}", "control") for i in range(8)]
CONTRASTS = (
    Contrast("msc_effect", "am_msc", "am", "apap"),
    Contrast("msc_effect", "am_msc", "am", "control"),
    Contrast("group_gap", "am", "", "apap", "control"),
    Contrast("group_gap", "am_msc", "", "apap", "control"),
    Contrast("interaction", "am_msc", "am", "apap", "control"),
    Contrast("gap_closed", "am_msc", "am", "apap", "control"),
)


def readouts() -> pd.DataFrame:
    """A simulated table of readouts, in pg/ml."""
    rng = np.random.default_rng(SEED)
    rows = []
    for j in range(READOUTS):
        for donor, group in DONORS:
            level = rng.normal(5 + (group == "apap"), 1)
            for condition in ("am", "am_msc"):
                value = 2 ** (level - 0.5 * (condition == "am_msc") + rng.normal(0, 0.5))
                below = j % 3 == 0 and rng.random() < 0.1
                rows.append((f"r{j:02d}", donor, group, condition, value, below))
    table = pd.DataFrame(rows, columns=["readout", "donor_id", "group", "condition", "observed", "below"])
    return table.assign(
        visit="V1",
        timepoint_h=24.0,
        assay_minutes=np.nan,
        msc_lot_id=None,
        assay="cytokines",
        unit="pg/ml",
        scale="log2",
        value=table["observed"].mask(table["below"]),
        lower=np.nan,
        upper=table["observed"].where(table["below"]),
        censoring=np.where(table["below"], "left", "none"),
        k=np.nan,
        n=np.nan,
        n_cultures=2,
        sd_culture=5.0,
        run_id="P1",
        batch_day=1,
        comparability="kit",
        qc=None,
    )


def ours(table: pd.DataFrame) -> int:
    """Rows of effects and of sensitivity analyses."""
    donors = pd.DataFrame(DONORS, columns=["donor_id", "group"])
    donors = donors.assign(role=donors["group"].replace({"apap": "disease"}), eligible_all_of="eligible")
    alone = table.iloc[:0].assign(msc_per_well=1.0)
    found = effects(table, alone, donors, Plan(CONTRASTS, (), {}))
    return len(found.effects) + len(found.sensitivity)


def script(table: pd.DataFrame) -> int:
    """Rows that the peer computes."""
    rows = 0
    for _, own in table[~table["below"]].assign(y=lambda t: np.log2(t["value"])).groupby("readout"):
        wide = own.pivot(index="donor_id", columns="condition", values="y")
        group = own.drop_duplicates("donor_id").set_index("donor_id")["group"]
        for contrast in CONTRASTS:
            sick, well = wide[group == contrast.group].dropna(), wide[group == (contrast.control or "control")].dropna()
            if contrast.name == "msc_effect":
                both = sick["am_msc"], sick["am"]
                pingouin.ttest(*both, paired=True)
                pingouin.wilcoxon(*both)
                pingouin.compute_bootci(both[0] - both[1], func="mean", method="bca", seed=SEED)
                mine = own[own["group"] == contrast.group]
                smf.mixedlm("y ~ condition", mine, groups=mine["donor_id"]).fit(reml=True)
                rows += 4
                continue
            column = wide["am_msc"] - wide["am"] if contrast.name == "interaction" else wide[contrast.treatment]
            two = column.loc[sick.index].to_numpy(), column.loc[well.index].to_numpy()
            pingouin.ttest(*two, correction=True)
            pingouin.mwu(*two)
            rows += 2
            if contrast.name == "interaction":
                smf.mixedlm("y ~ condition * group", own, groups=own["donor_id"]).fit(reml=True)
                rows += 1
    return rows


def main() -> None:
    """Print seconds, rows and their ratio, then max-T."""
    warnings.simplefilter("ignore")
    table = readouts()
    with threadpool_limits(1):
        for name, make in (("peer", script), ("effects", ours)):
            start = time.perf_counter()
            rows = make(table)
            print(f"{name}: {time.perf_counter() - start:.1f} s for {rows} rows")
        rng = np.random.default_rng(SEED)
        for n in (13, 20):
            changes = rng.normal(0, 1, (n, READOUTS))
            start = time.perf_counter()
            max_t_paired(changes)
            taken = time.perf_counter() - start
            tracemalloc.start()
            max_t_paired(changes)
            most = tracemalloc.get_traced_memory()[1] / 1e6
            tracemalloc.stop()
            print(f"max-T of {READOUTS} readouts over 2^{n} sign vectors: {taken:.2f} s, {most:.0f} MB at most")


if __name__ == "__main__":
    main()
