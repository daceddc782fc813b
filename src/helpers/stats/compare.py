"""One comparison of one readout: the primary estimate, its sensitivity analyses, its effect size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy import stats

from helpers.stats import censored, counts, groups, mixed, paired
from helpers.stats.additive import beyond_additive
from helpers.stats.estimate import NAN, Estimate, NotEstimable, Numbers, attempted
from helpers.stats.ratios import gap_closed, share_of_gap
from helpers.stats.slices import limits, same_kit
from helpers.stats.trend import slopes, trend


@dataclass(frozen=True)
class Tally:
    """Donors with a value in any arm, donors with both (None for groups), culture wells, values that are bounds."""

    n_donors: int
    n_pairs: int | None
    n_cultures: int
    n_censored: int


@dataclass(frozen=True)
class Comparison:
    """What is known of one comparison of one readout.

    Parameters
    ----------
    primary
        The primary estimate.
    more
        Computes the sensitivity analyses, when they are asked for.
    size
        Standardised effect size, or None.
    tally
        How many of what.
    left_out
        Estimate without each donor in turn, by donor; NaN where there is none without one.
    refitted
        Computes `left_out` where that takes a fit a donor; for those who need it.
    values
        What max-T needs: differences by donor, or values of first and second group; empty with bounds.
    ratio_kind
        How the estimate becomes a ratio where it is not the scale that says so: ``odds`` for detection.
    """

    primary: Estimate
    more: Callable[[], list[Estimate]]
    size: Estimate | None
    tally: Tally
    left_out: dict[str, float] = field(default_factory=dict)
    refitted: Callable[[], dict[str, float]] = dict
    values: tuple[pd.Series, ...] = ()
    ratio_kind: str = ""

    @property
    def ends(self) -> tuple[float, float] | None:
        """Least and largest estimate without one donor; None where there is none."""
        known = [v for v in self.left_out.values() if not np.isnan(v)]
        return (min(known), max(known)) if known else None


def _nothing() -> list[Estimate]:
    return []


def _maybe(make: Callable[[], Estimate]) -> list[Estimate]:
    """A sensitivity row, or none where the method has nothing to say of these data."""
    try:
        return [attempted(make)]
    except NotEstimable:
        return []


def _facts(*arms: pd.DataFrame) -> tuple[int, int]:
    """Donors with a value in any arm, and culture wells."""
    donors = set().union(*(a.index for a in arms))
    return len(donors), sum(int(np.nansum(a["n_cultures"].to_numpy())) for a in arms)


def _bounded(*arms: pd.DataFrame) -> int:
    """Values that are bounds."""
    return sum(int((a["lower"].to_numpy() != a["upper"].to_numpy()).sum()) for a in arms)


def _of(arm: pd.DataFrame, donors: pd.Index) -> pd.DataFrame:
    """Rows of some donors of an arm, in their order; the arm itself where these are all."""
    return arm if arm.index.equals(donors) else arm.loc[donors]


def _without_one(donors: pd.Index, estimate: Callable[[np.ndarray], Estimate]) -> dict[str, float]:
    """Estimate without each donor in turn, NaN where there is none; `estimate` gets which rows are kept."""
    found = {}
    for donor in donors:
        one = _maybe(lambda donor=donor: estimate(donors != donor))  # type: ignore[misc]
        found[str(donor)] = one[0].estimate if one else NAN
    return found


def _at_least(n: int, fewest: int, what: str) -> None:
    if n < fewest:
        raise NotEstimable("too_few_donors", f"There are {n} {what}, fewer than {fewest}: no p is given.")


def _magnitude(*arms: pd.DataFrame) -> float:
    return max(float(a["value"].abs().max()) for a in arms)


def _one_group_each(first: pd.Index, second: pd.Index) -> None:
    if len(first.intersection(second)):
        raise NotEstimable("donor_in_two_groups", "A donor stands in both groups.")


def _any_known(bounded: int, n: int, what: str, *arms: pd.DataFrame) -> None:
    """Refuse arms in which every value is a bound and all lie on one side: nothing differs."""
    seen = np.concatenate([a["detected"].to_numpy(dtype=bool) for a in arms])
    if bounded == n and (seen.all() or not seen.any()):
        side = censored.sides(*(limits(a) for a in arms))
        raise NotEstimable("all_censored", f"All {bounded} values of {what} lie beyond a limit: {side}.")


def _few(found: Estimate, n: int, fewest: int, what: str) -> Estimate:
    """The estimate, without p where fewer donors than the plan wants stand behind it."""
    if n >= fewest:
        return found
    note = f"There are {n} {what}, fewer than {fewest}: an estimate without p."
    return replace(found, p=NAN, note=f"{found.note} {note}".strip())


# ---- paired


def compare_pairs(reference: pd.DataFrame, treatment: pd.DataFrame, fewest: int, level: float) -> Comparison:
    """Treatment against reference in the same donors.

    Parameters
    ----------
    reference, treatment
        From `slices.arm`.
    fewest
        Pairs below which no p is given.
    level
        Of intervals.

    Raises
    ------
    NotEstimable
        With the status and the sentence that go into the table.
    """
    for part, name in ((reference, "reference"), (treatment, "treatment")):
        if not len(part):
            raise NotEstimable("no_data", f"No donor has a value in the {name}.")
    both = reference.index.intersection(treatment.index)
    if not len(both):
        raise NotEstimable("too_few_donors", "No donor has both conditions.")
    r, t = _of(reference, both), _of(treatment, both)
    same_kit(r, t)
    n_donors, n_cultures = _facts(reference, treatment)
    bounded = _bounded(r, t)
    tally = Tally(n_donors, len(both), n_cultures, bounded)
    _any_known(bounded, 2 * len(both), f"{len(both)} pairs", r, t)
    if bounded:
        return _bounded_pairs(r, t, fewest, level, tally)
    d = t["value"] - r["value"]
    primary = _few(paired.paired_t(d, level, _magnitude(r, t)), len(d), fewest, "pairs")
    if len(d) < fewest:
        return Comparison(primary, _nothing, None, tally)

    def more() -> list[Estimate]:
        return [
            *_mixed_pairs(reference, treatment, level),
            *_maybe(lambda: paired.sign_flip(d)),
            *_maybe(lambda: paired.signed_rank(d, level)),
            *_maybe(lambda: paired.bca(d, level)),
            *_maybe(lambda: paired.g_av(r["value"], t["value"], level)),
            *_maybe(lambda: paired.rank_biserial(d, level)),
            *_maybe(lambda: _lost_baselines(reference, both, fewest, level)),
            *by_lot(d, t, fewest, level),
            *_maybe(lambda: _counted_pairs(r, t)),
        ]

    size = _maybe(lambda: paired.g_z(d, level))
    total = float(d.sum())
    left = {str(k): (total - v) / (len(d) - 1) for k, v in d.items()}
    return Comparison(primary, more, size[0] if size else None, tally, left_out=left, values=(d,))


def by_lot(d: pd.Series, treatment: pd.DataFrame, fewest: int, level: float) -> list[Estimate]:
    """Mean change with each MSC lot, lots as a fixed factor of the donors' differences with one common spread.

    A row for each lot with at least two donors, and the F test of lots; none where there is one lot only.
    """
    if "msc_lot_id" not in treatment:
        return []
    lots = _of(treatment, d.index)["msc_lot_id"].fillna("").to_numpy()
    sizes = {lot: n for lot, n in sorted(Counter(lots).items()) if lot != "" and n >= 2}
    if len(sizes) < 2:
        return []
    values = d.to_numpy()
    own = [values[lots == lot] for lot in sizes]
    df = sum(sizes.values()) - len(sizes)
    spread = float(np.sqrt(sum(((v - v.mean()) ** 2).sum() for v in own) / df))
    if spread == 0:
        return []
    quantile = float(stats.t.ppf((1 + level) / 2, df))
    note = f"Lots as a fixed factor; applies to these lots: {', '.join(map(str, sizes))}."
    rows = []
    for lot, changes in zip(sizes, own, strict=True):
        se, mean = spread / np.sqrt(len(changes)), float(changes.mean())
        t = mean / se
        p = float(2 * stats.t.sf(abs(t), df))
        ends = (mean - quantile * se, mean + quantile * se)
        found = Estimate(mean, *ends, f"MSC lot {lot}, {len(changes)} donors", t, df, p, note)
        rows.append(_few(found, len(changes), fewest, "pairs with this lot"))
    test = stats.f_oneway(*own)
    return [
        *rows,
        Estimate(
            NAN, NAN, NAN, "difference between MSC lots, F test", float(test.statistic), df, float(test.pvalue), note
        ),
    ]


def _bounded_pairs(r: pd.DataFrame, t: pd.DataFrame, fewest: int, level: float, tally: Tally) -> Comparison:
    """With bounds: the likelihood up to half of both arms together.

    Detection above, and where fewer than five pairs are fully observed, since then no likelihood is fitted.
    """
    reference, treatment = limits(r), limits(t)
    whole = int(((reference[0] == reference[1]) & (treatment[0] == treatment[1])).sum())
    if censored.share_censored(reference, treatment) > censored.MOST_CENSORED or whole < censored.FEWEST_OBSERVED:
        _at_least(len(r), fewest, "pairs")
        found = censored.mcnemar(r["detected"], t["detected"], level)
        return Comparison(_detected(found, r, t, f"{whole} pairs are"), _nothing, None, tally, ratio_kind="odds")
    primary = _few(censored.paired_likelihood(reference, treatment, level), len(r), fewest, "pairs")
    if len(r) < fewest:
        return Comparison(primary, _nothing, None, tally)
    x, y = censored.at_common_limit(reference, treatment)

    def more() -> list[Estimate]:
        return [
            *_maybe(lambda: _named(paired.signed_rank(y - x, level), "at one common limit")),
            *_maybe(lambda: _named(paired.sign_flip(np.sign(y - x)), "sign test at one common limit")),
            *_maybe(lambda: censored.difference_bounds(reference, treatment, level)),
            *_maybe(lambda: _named(paired.paired_t(t["half"] - r["half"], level), HALVED)),
        ]

    def without(kept: np.ndarray) -> Estimate:
        return censored.paired_likelihood(limits(r[kept]), limits(t[kept]), level)

    return Comparison(primary, more, None, tally, refitted=lambda: _without_one(r.index, without))


HALVED = "limit halved, for comparison only"


def _tied(found: Estimate) -> Estimate:
    """A rank test of two groups at one limit without its interval, which is one of shifts that ties hide."""
    note = "What lies at the limit is tied, which draws the shift toward zero: no interval."
    return replace(found, low=NAN, high=NAN, note=note)


def _detected(found: Estimate, first: pd.DataFrame, second: pd.DataFrame, observed: str) -> Estimate:
    """A test of detection that says which values were bounds, and why no likelihood was fitted."""
    side = censored.sides(limits(first), limits(second))
    why = f"Beyond a limit: {side}; only {observed} fully observed. Values above an upper limit count as detected."
    return replace(found, note=f"{found.note} {why}".strip())


def _named(found: Estimate, addition: str) -> Estimate:
    return replace(found, method=f"{found.method}, {addition}")


def _mixed_pairs(reference: pd.DataFrame, treatment: pd.DataFrame, level: float) -> list[Estimate]:
    rows = pd.concat([_observed(reference).assign(treated=0), _observed(treatment).assign(treated=1)])
    return _mixed(rows, None, [0, 1], level)


def _mixed(rows: pd.DataFrame, sick: pd.Series | None, weights: list[int], level: float) -> list[Estimate]:
    """A contrast of the mixed model; where arms of a donor stand in different runs, also with the run as a fixed factor.

    A run that both arms of a donor share cancels in the donor's change, so that otherwise there is nothing to add.
    """
    found = _both_freedoms(rows, mixed.treatment_by_group(rows["treated"], sick)[0], weights, level)
    if "run_id" not in rows or rows["run_id"].isna().any():
        return found
    if len(set(zip(rows.index, rows["run_id"], strict=True))) == rows.index.nunique():
        return found
    design, names = mixed.treatment_by_group(rows["treated"], sick, rows["run_id"])
    by_run = _both_freedoms(rows, design, [*weights, *[0] * (len(names) - len(weights))], level)
    with_run = "mixed model with the run as a fixed factor"
    return [*found, *(replace(one, method=one.method.replace("mixed model", with_run)) for one in by_run)]


def _both_freedoms(rows: pd.DataFrame, design: Numbers, weights: list[int], level: float) -> list[Estimate]:
    """A contrast of the mixed model with Kenward–Roger's degrees of freedom, and with Satterthwaite's."""
    try:
        model = attempted(lambda: mixed.fit(rows["value"], design, rows.index))
    except NotEstimable:
        return []
    n, found = rows.index.nunique(), []
    for df in ("kenward_roger", "satterthwaite"):
        found += _maybe(lambda df=df: _all_donors(mixed.contrast(model, weights, level, df), n))  # type: ignore[misc]
    return found


def _observed(part: pd.DataFrame) -> pd.DataFrame:
    """Values that are no bounds, with their runs."""
    known = (part["lower"] == part["upper"]).to_numpy()
    return part.loc[known, [c for c in ("value", "run_id") if c in part]]


def _all_donors(found: Estimate, n: int) -> Estimate:
    note = f"All {n} donors, missing values taken as missing at random. {found.note}".strip()
    return replace(found, method=f"{found.method}, all donors", note=note)


def _lost_baselines(reference: pd.DataFrame, both: pd.Index, fewest: int, level: float) -> Estimate:
    lost = _observed(reference.loc[reference.index.difference(both)])["value"]
    found = groups.welch(lost, reference.loc[both, "value"], level)
    found = _few(found, min(len(lost), len(both)), fewest, "donors on one side")
    return replace(found, method="baseline of donors with a lost pair minus the others, Welch t")


def _with_counts(*arms: pd.DataFrame) -> None:
    for arm in arms:
        if "k" not in arm or arm["k"].isna().any() or arm["n"].isna().any():
            raise NotEstimable("not_estimable", "No counts.")


def _counted_pairs(r: pd.DataFrame, t: pd.DataFrame) -> Estimate:
    _with_counts(r, t)
    rows = pd.concat([r.assign(treated=0), t.assign(treated=1)])
    design, _ = mixed.treatment_by_group(rows["treated"])
    return counts.beta_binomial(counts.counts(rows["k"], rows["n"], design, rows.index), 1)


# ---- groups


def compare_groups(first: pd.DataFrame, second: pd.DataFrame, fewest: int, level: float) -> Comparison:
    """Disease against control donors in one condition; arguments as in `compare_pairs`."""
    if not len(second):
        raise NotEstimable("no_controls", "There are no control donors with a value.")
    if not len(first):
        raise NotEstimable("no_data", "There are no disease donors with a value.")
    _one_group_each(first.index, second.index)
    same_kit(first, second)
    n_donors, n_cultures = _facts(first, second)
    bounded = _bounded(first, second)
    tally = Tally(n_donors, None, n_cultures, bounded)
    _any_known(bounded, n_donors, f"{n_donors} donors", first, second)
    if bounded:
        return _bounded_groups(first, second, fewest, level, tally)
    x, y = first["value"], second["value"]
    few = min(len(x), len(y))
    primary = _few(groups.welch(x, y, level), few, fewest, "donors in a group")
    if few < fewest:
        return Comparison(primary, _nothing, None, tally)

    def more() -> list[Estimate]:
        return [
            *_maybe(lambda: groups.brunner_munzel(x, y, level)),
            *_maybe(lambda: groups.rank_sum(x, y, level)),
            *_maybe(lambda: groups.label_permutation(x, y)),
            *_maybe(lambda: groups.cliffs_delta(x, y, level)),
            *_maybe(lambda: _counted_groups(first, second)),
        ]

    size = _maybe(lambda: groups.hedges_g(x, y, level))
    return Comparison(primary, more, size[0] if size else None, tally, left_out=_without_each(x, y), values=(x, y))


def _without_each(x: pd.Series, y: pd.Series) -> dict[str, float]:
    mean, other = float(x.mean()), float(y.mean())
    left = {str(k): (float(x.sum()) - v) / (len(x) - 1) - other for k, v in x.items()} if len(x) > 1 else {}
    return left | ({str(k): mean - (float(y.sum()) - v) / (len(y) - 1) for k, v in y.items()} if len(y) > 1 else {})


def _bounded_groups(first: pd.DataFrame, second: pd.DataFrame, fewest: int, level: float, tally: Tally) -> Comparison:
    """With bounds: as `_bounded_pairs`, with five observed donors in each group."""
    x, y = limits(first), limits(second)
    few, whole = min(len(first), len(second)), min(int((low == high).sum()) for low, high in (x, y))
    if censored.share_censored(x, y) > censored.MOST_CENSORED or whole < censored.FEWEST_OBSERVED:
        _at_least(few, fewest, "donors in a group")
        found = censored.fisher(first["detected"], second["detected"], level)
        found = _detected(found, first, second, f"{whole} donors of a group are")
        return Comparison(found, _nothing, None, tally, ratio_kind="odds")
    primary = _few(censored.group_likelihood(x, y, level), few, fewest, "donors in a group")
    if few < fewest:
        return Comparison(primary, _nothing, None, tally)
    at = censored.at_common_limit(x, y)

    def more() -> list[Estimate]:
        return [
            *_maybe(lambda: _tied(_named(groups.rank_sum(at[0], at[1], level), "at one common limit"))),
            *_maybe(lambda: _named(groups.welch(first["half"], second["half"], level), HALVED)),
        ]

    def without(kept: np.ndarray) -> Estimate:
        sick, well = kept[: len(first)], kept[len(first) :]
        return censored.group_likelihood(limits(first[sick]), limits(second[well]), level)

    donors = first.index.append(second.index)
    return Comparison(primary, more, None, tally, refitted=lambda: _without_one(donors, without))


def _counted_groups(first: pd.DataFrame, second: pd.DataFrame) -> Estimate:
    _with_counts(first, second)
    rows = pd.concat([first.assign(sick=1.0), second.assign(sick=0.0)])
    design = np.column_stack([np.ones(len(rows)), rows["sick"]])
    return counts.beta_binomial(counts.counts(rows["k"], rows["n"], design, rows.index), 1)


# ---- both


def compare_changes(arms: Sequence[pd.DataFrame], fewest: int, level: float) -> Comparison:
    """Interaction: the change of disease donors minus the change of controls.

    With bounds the change of each group is that of its likelihood, see `_bounded_changes`.

    Parameters
    ----------
    arms
        Reference and treatment of the disease group, reference and treatment of the control group.
    fewest, level
        As in `compare_pairs`.
    """
    both = [arms[i].index.intersection(arms[i + 1].index) for i in (0, 2)]
    if not len(arms[2]) and not len(arms[3]):
        raise NotEstimable("no_controls", "There are no control donors with a value.")
    if not len(arms[0]) and not len(arms[1]):
        raise NotEstimable("no_data", "There are no disease donors with a value.")
    _one_group_each(arms[0].index.union(arms[1].index), arms[2].index.union(arms[3].index))
    complete = [_of(a, both[i // 2]) for i, a in enumerate(arms)]
    same_kit(*complete)
    n_donors, n_cultures = _facts(*arms)
    bounded = _bounded(*complete)
    tally = Tally(n_donors, sum(map(len, both)), n_cultures, bounded)
    few = min(map(len, both))
    if bounded:
        found = _bounded_changes(complete, level, bounded)

        def without(kept: np.ndarray) -> Estimate:
            sick, well = kept[: len(both[0])], kept[len(both[0]) :]
            return _bounded_changes([a[well if i > 1 else sick] for i, a in enumerate(complete)], level, bounded)

        first, second = (complete[i + 1]["half"] - complete[i]["half"] for i in (0, 2))

        def halved() -> list[Estimate]:
            return _maybe(lambda: _named(groups.welch(first, second, level), HALVED))

        return Comparison(
            _few(found, few, fewest, "pairs in a group"),
            _nothing if few < fewest else halved,
            None,
            tally,
            refitted=lambda: _without_one(both[0].append(both[1]), without),
        )
    x, y = (complete[i + 1]["value"] - complete[i]["value"] for i in (0, 2))
    size = _magnitude(*complete) if few else 0.0
    primary = replace(groups.welch(x, y, level, size), method="Welch t on donors' differences")
    primary = _few(primary, few, fewest, "pairs in a group")
    if few < fewest:
        return Comparison(primary, _nothing, None, tally)

    def more() -> list[Estimate]:
        return [
            *_mixed_interaction(arms, level),
            *_maybe(lambda: groups.label_permutation(x, y)),
            *_maybe(lambda: _counted_interaction(complete)),
        ]

    g = _maybe(lambda: groups.hedges_g(x, y, level))
    return Comparison(primary, more, g[0] if g else None, tally, left_out=_without_each(x, y), values=(x, y))


def _bounded_changes(complete: Sequence[pd.DataFrame], level: float, bounded: int) -> Estimate:
    """Difference of the changes that each group's own likelihood gives, on the scale of t.

    Standard errors are half-widths of the groups' intervals over their t quantile, degrees of freedom those of
    Welch and Satterthwaite: without bounds this is Welch's t on donors' differences.
    """
    changes, errors, sizes = [], [], []
    for r, t in (complete[:2], complete[2:]):
        if not _bounded(r, t):
            found = paired.paired_t(t["value"] - r["value"], level, _magnitude(r, t))
        else:
            found = censored.paired_likelihood(limits(r), limits(t), level)
        n = len(r)
        half = (found.high - found.low) / 2
        if not np.isfinite(half):
            raise NotEstimable(
                "not_estimable", f"{bounded} values lie beyond a limit; the change of a group has no finite interval."
            )
        changes.append(found.estimate)
        errors.append((half / float(stats.t.ppf((1 + level) / 2, n - 1))) ** 2)
        sizes.append(n)
    df = sum(errors) ** 2 / sum(e**2 / (n - 1) for e, n in zip(errors, sizes, strict=True))
    difference, se = changes[0] - changes[1], float(np.sqrt(sum(errors)))
    half, t_value = float(stats.t.ppf((1 + level) / 2, df)) * se, difference / se
    p = float(2 * stats.t.sf(abs(t_value), df))
    note = f"{bounded} values lie beyond a limit. Normal approximation to the likelihoods of both groups."
    method = "difference of likelihood changes, Welch–Satterthwaite"
    return Estimate(difference, difference - half, difference + half, method, t_value, df, p, note)


def _stacked(arms: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat([a.assign(treated=i % 2, sick=1 - i // 2) for i, a in enumerate(arms)])


def _mixed_interaction(arms: Sequence[pd.DataFrame], level: float) -> list[Estimate]:
    rows = _stacked([_observed(a) for a in arms])
    return _mixed(rows, rows["sick"], [0, 0, 0, 1], level)


def _counted_interaction(arms: Sequence[pd.DataFrame]) -> Estimate:
    _with_counts(*arms)
    rows = _stacked(arms)
    design, _ = mixed.treatment_by_group(rows["treated"], rows["sick"])
    return counts.beta_binomial(counts.counts(rows["k"], rows["n"], design, rows.index), 3)


def compare_gap_closed(
    untreated: pd.DataFrame, treated: pd.DataFrame, control: pd.DataFrame, fewest: int, level: float
) -> Comparison:
    """Share of the gap between disease and control that the treatment closes; see `ratios.gap_closed`."""
    both = untreated.index.intersection(treated.index)
    if not len(control):
        raise NotEstimable("no_controls", "There are no control donors with a value.")
    if not len(both):
        raise NotEstimable("no_data", "No disease donor has both conditions.")
    _one_group_each(untreated.index.union(treated.index), control.index)
    u, t = _of(untreated, both), _of(treated, both)
    same_kit(u, t, control)
    n_donors, n_cultures = _facts(untreated, treated, control)
    bounded = _bounded(u, t, control)
    if bounded:
        raise NotEstimable(
            "not_estimable",
            f"{bounded} values lie beyond a limit; a share of the gap is not given for bounds.",
            tuple(_change_and_gap(u, t, control, fewest, level)),
        )
    found = gap_closed(u["value"], t["value"], control["value"], level, fewest)
    boot = Estimate(
        found.share.estimate, found.bootstrap_low, found.bootstrap_high, "gap closed, stratified donor bootstrap"
    )

    def without(kept: np.ndarray) -> Estimate:
        sick, well = kept[: len(both)], kept[len(both) :]
        return share_of_gap(u["value"][sick], t["value"][sick], control["value"][well], level)[0]

    return Comparison(
        found.share,
        lambda: [found.change, found.gap, boot],
        None,
        Tally(n_donors, len(both), n_cultures, bounded),
        left_out=_without_one(both.append(control.index), without),
        ratio_kind="none",
    )


def _change_and_gap(
    u: pd.DataFrame, t: pd.DataFrame, control: pd.DataFrame, fewest: int, level: float
) -> list[Estimate]:
    """Both parts of a share of the gap, each by the primary method that its bounds call for; tests of detection none."""
    found = []
    for name, compare in (
        ("change", lambda: compare_pairs(u, t, fewest, level)),
        ("gap", lambda: compare_groups(control, u, fewest, level)),
    ):
        try:
            one = attempted(compare)
        except NotEstimable:
            continue
        if not one.ratio_kind:
            found.append(replace(one.primary, method=f"{name}, {one.primary.method}", statistic=NAN, df=NAN, p=NAN))
    return found


def compare_doses(arms: Sequence[tuple[float, pd.DataFrame]], fewest: int, level: float) -> Comparison:
    """Trend over doses; arms with their dose, the reference as dose 0. See `trend.trend`."""
    parts = [part for _, part in arms]
    if not any(map(len, parts)):
        raise NotEstimable("no_data", "No donor has a value at any dose.")
    same_kit(*parts)
    n_donors, n_cultures = _facts(*parts)
    bounded = _bounded(*parts)
    if bounded:
        raise NotEstimable("not_estimable", f"{bounded} values lie beyond a limit; a trend is not given for bounds.")
    values = pd.concat([part["value"].rename(dose) for dose, part in arms], axis=1)
    slope, *rest = trend(values, level)
    more = [_few(step, int(step.df) + 1, fewest, "donors with both levels") for step in rest]
    tally = Tally(
        n_donors, int((values.loc[:, [d > 0 for d in values.columns]].notna().sum(axis=1) > 1).sum()), n_cultures, 0
    )
    own = slopes(values)
    return Comparison(
        _few(slope, tally.n_pairs or 0, fewest, "donors with a slope"),
        lambda: more,
        None,
        tally,
        left_out={str(k): float((own.sum() - v) / (len(own) - 1)) for k, v in own.items()},
    )


def compare_times(arms: Sequence[tuple[float, Sequence[pd.DataFrame]]], fewest: int, level: float) -> Comparison:
    """Trend over hours of the change of each donor, or of the treated values where no reference is named.

    Parameters
    ----------
    arms
        Hours with the reference, which may be empty throughout, and the treatment.
    fewest, level
        As in `compare_pairs`.
    """
    without = all(reference.empty for _, (reference, _) in arms)
    return compare_doses([(hours, t if without else _changes(r, t)) for hours, (r, t) in arms], fewest, level)


def _changes(reference: pd.DataFrame, treatment: pd.DataFrame) -> pd.DataFrame:
    """An arm of changes of the donors that have both; a change is known where both values are."""
    both = reference.index.intersection(treatment.index)
    r, t = _of(reference, both), _of(treatment, both)
    same_kit(r, t)
    return t.assign(
        value=t["value"] - r["value"],
        lower=t["lower"] - r["upper"],
        upper=t["upper"] - r["lower"],
        n_cultures=t["n_cultures"] + r["n_cultures"],
    )


def compare_with_sum(
    together: pd.DataFrame, macrophages: pd.DataFrame, msc_alone: pd.DataFrame, fewest: int, level: float
) -> Comparison:
    """Co-culture against the sum of both cells alone; rows in the unit of the readout, see `additive`."""
    beyond = beyond_additive(together, macrophages, msc_alone, level)
    found, n = beyond.found, len(beyond.donors)

    def without(kept: np.ndarray) -> Estimate:
        others = set(donors[kept])
        first, second = (part[part["donor_id"].isin(others)] for part in (together, macrophages))
        return beyond_additive(first, second, msc_alone, level).found

    donors = pd.Index(beyond.donors)
    return Comparison(
        _few(found, int(found.df) + 1, fewest, "batches"),
        _nothing,
        None,
        Tally(n, n, beyond.n_cultures, beyond.n_bounded),
        refitted=lambda: _without_one(donors, without),
    )
