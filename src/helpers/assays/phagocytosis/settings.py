"""Settings of the assay, from study.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Rules:
    """Settings of the assay.

    Parameters
    ----------
    quantile
        Of the no-particle control, above which a cell is positive.
    correction
        ``points`` or ``abbott``; see `indices.subtracted`.
    population
        Gated population whose cells are counted.
    gate_set
        Gate set of phenotype/gates for uptake files; empty to find it, ``none`` to use gate files alone.
    fewest_for_statistic, fewest_for_percentage, fewest_without_warning
        Minimums of study.yaml.
    """

    quantile: float
    correction: str
    population: str
    gate_set: str
    fewest_for_statistic: int
    fewest_for_percentage: int
    fewest_without_warning: int

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Rules:
        """Rules of study.yaml; what it does not say is 0.99, points, AM, the gate set that fits and the minimums' defaults."""
        own, least = settings.get("phagocytosis", {}), settings.get("minimums", {})
        return cls(
            float(own.get("threshold_quantile", 0.99)),
            str(own.get("correction", "points")),
            str(own.get("population", "AM")),
            str(own.get("gate_set", "")),
            int(least.get("events_statistic", 50)),
            int(least.get("events_percentage", 100)),
            int(least.get("events_warning", 500)),
        )
