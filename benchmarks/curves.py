"""How long the standard curves of a plate take, and how many of them are the best there are, beside other programs.

Run with ``.venv/bin/python benchmarks/curves.py [plates]`` (default 5). Each plate is simulated: 30 analytes, eight
levels in duplicate, CV 5 %, 4PL and 5PL with weights 1/y². Peers, in the same run on the same machine and plates: SciPy's
``curve_fit`` in a loop from one usual start, and bio-curve-fit where it is installed (it is no part of the lock).
A curve counts as missed where its objective is more than 1 % above the lowest that any of the programs found within
the same family of curves and bounds. The 5PL of bio-curve-fit is the mirror image of the vendors' (its b is positive,
so the asymmetry sits at the other end), so there only the time is compared. One thread: set OMP_NUM_THREADS=1 to hold
NumPy to it.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import statistics
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
from scipy.optimize import curve_fit

from helpers.assays.cytokines.curve_fit import FREE, fit_curves
from helpers.assays.cytokines.curves import response
from helpers.core.numbers import SEED

ANALYTES = 30
X = np.repeat(10_000 / 4.0 ** np.arange(8), 2)
Fitter = Callable[[np.ndarray, str], np.ndarray]


def simulated_plate(rng: np.random.Generator) -> np.ndarray:
    """Responses of the standards of one plate, shape (analytes, wells)."""
    curves = np.column_stack(
        [
            rng.uniform(5, 100, ANALYTES),
            rng.uniform(5_000, 30_000, ANALYTES),
            10 ** rng.uniform(1.5, 4.5, ANALYTES),  # some plateaus lie beyond the standards, as on real plates
            -rng.uniform(0.8, 1.6, ANALYTES),
            10 ** rng.uniform(-0.5, 0.5, ANALYTES),
        ]
    )
    fit = response(curves[:, None], X)
    return np.asarray(fit * np.exp(rng.normal(0, 0.05, fit.shape)))


def ours(y: np.ndarray, model: str) -> np.ndarray:
    """Objectives of the project's fits, from all starts."""
    return fit_curves(X, y, model, "1/y2").objective


def scipy_loop(y: np.ndarray, model: str) -> np.ndarray:
    """Objectives of curve_fit, one analyte after the other, from the extremes of the response and the middle of x."""
    found = np.full(ANALYTES, np.inf)
    for i, own in enumerate(y):
        start = [own.min(), own.max(), np.exp(np.log(X).mean()), -1.0, 1.0][: FREE[model]]

        def curve(x: np.ndarray, *p: float) -> np.ndarray:
            return response([*p, 1.0][:5], x)

        low, high = [-np.inf, -np.inf, 0, -10, 0.02], [np.inf, np.inf, 1e4 * X.max(), -0.05, 50]
        limits = (low[: len(start)], high[: len(start)])
        try:
            best, _ = curve_fit(curve, X, own, start, sigma=own, bounds=limits, x_scale=np.abs(start))
        except RuntimeError:
            continue
        found[i] = (((own - curve(X, *best)) / own) ** 2).sum()
    return found


def bio_curve_fit(y: np.ndarray, model: str) -> np.ndarray:
    """Objectives of bio-curve-fit; its weight function is a standard deviation."""
    from bio_curve_fit.logistic import FiveParamLogistic, FourParamLogistic

    found = np.full(ANALYTES, np.inf)
    for i, own in enumerate(y):
        fitter = {"4pl": FourParamLogistic, "5pl": FiveParamLogistic}[model]()
        try:
            predicted = fitter.fit(X, own, weight_func=lambda v: v).predict(X)
        except (RuntimeError, ValueError):
            continue
        found[i] = (((own - predicted) / own) ** 2).sum()
    return found


def timed(fitter: Fitter, y: np.ndarray) -> tuple[float, dict[str, np.ndarray]]:
    """Seconds for both models, and their objectives."""
    start = time.perf_counter()
    found = {model: fitter(y, model) for model in FREE}
    return time.perf_counter() - start, found


def main(plates: int) -> None:
    """Print one line a program."""
    fitters: dict[str, Fitter] = {"this project, all starts": ours, "SciPy curve_fit, one start": scipy_loop}
    if importlib.util.find_spec("bio_curve_fit"):
        print(f"bio-curve-fit {importlib.metadata.version('bio-curve-fit')}")
        fitters["bio-curve-fit"] = bio_curve_fit
    else:
        print("bio-curve-fit is not installed; its line is left out.")
    rng = np.random.default_rng(SEED)
    taken: dict[str, list[float]] = {name: [] for name in fitters}
    missed = {(name, model): 0 for name in fitters for model in FREE if (name, model) != ("bio-curve-fit", "5pl")}
    ours(simulated_plate(rng), "4pl")  # what is loaded late is loaded now
    for _ in range(plates):
        y = simulated_plate(rng)
        results = {name: timed(fitter, y) for name, fitter in fitters.items()}
        for name, model in missed:
            least = np.min([results[other][1][m] for other, m in missed if m == model], axis=0)
            missed[name, model] += int((results[name][1][model] > 1.01 * least).sum())
        for name, (seconds, _) in results.items():
            taken[name].append(seconds)
    first = taken["this project, all starts"]
    for name, seconds in taken.items():
        ratios = [mine / theirs for mine, theirs in zip(first, seconds, strict=True)]
        shares = ", ".join(
            f"{n} of {plates * ANALYTES} {m.upper()} missed" for (who, m), n in missed.items() if who == name
        )
        print(
            f"{name}: median {statistics.median(seconds):.2f} s a plate ({min(seconds):.2f} to {max(seconds):.2f}), "
            f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), {shares}"
        )


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the peers warn about overflow and about covariances they cannot estimate
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
