"""One look for all figures: widths of journal columns, colours for colour-blind readers, shapes beside them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.font_manager import get_font_names

from helpers.study.config import Config

COLUMN_IN, PAGE_IN = 85 / 25.4, 175 / 25.4
"""Widths of one journal column and of a page, inches."""

BLUE, ORANGE, GREEN, PURPLE, SKY, RED, GREY = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#7B4FA3",
    "#56B4E9",
    "#B2182B",
    "#5A5A5A",
)
_ROLE_LOOKS = {
    "disease": ((ORANGE, "o"), (RED, "D"), (PURPLE, "P")),
    "control": ((BLUE, "s"), (SKY, "^"), (GREEN, "v")),
}
_FONTS = (
    "DejaVu Sans",
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Source Han Sans SC",
    "Microsoft YaHei",
    "SimHei",
    "PingFang SC",
    "Heiti SC",
)

RC: dict[str, Any] = {
    "font.size": 8.0,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8.0,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titley": 1.0,  # matplotlib would find the same place anew at each drawing, in a tenth of the time
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "axes.edgecolor": "#333333",
    "axes.labelcolor": "#222222",
    "text.color": "#222222",
    "xtick.color": "#333333",
    "ytick.color": "#333333",
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "apap",
    "pdf.fonttype": 42,
    "figure.dpi": 110,
    "savefig.facecolor": "white",
    "text.parse_math": False,
    "text.hinting": "none",  # hinted text is wider at one resolution than at another, and the layout is made once
    "axes.unicode_minus": True,
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw and save in the project's style; nothing outside the block changes."""
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    settings: Any = RC | {"font.family": fonts()}
    with mpl.rc_context(settings):
        yield


def fonts() -> list[str]:
    """DejaVu Sans and, behind it, the first font with Han characters that this machine has; each costs time."""
    there = set(get_font_names())
    return [name for name in _FONTS if name in there][:2] or ["sans-serif"]


def group_looks(config: Config) -> dict[str, tuple[str, str]]:
    """Colour and marker of each group by its code: warm for disease, cool for controls.

    Examples
    --------
    >>> config = Config.from_settings({"id": "x", "title": "x", "conditions": [],
    ...     "groups": [{"code": "apap", "label": "aPAP", "role": "disease"}]})
    >>> group_looks(config)
    {'apap': ('#D55E00', 'o')}
    """
    looks, used = {}, {"disease": 0, "control": 0}
    for group in config.groups:
        choices = _ROLE_LOOKS[group.role]
        looks[group.code] = choices[used[group.role] % len(choices)]
        used[group.role] += 1
    return looks
