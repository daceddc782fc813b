"""A picture: a figure with its name, caption, alt text and the numbers it shows."""

from __future__ import annotations

import base64
import gc
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, cast

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FixedLocator

from helpers.analysis import Analysis
from helpers.core.files import write_atomically
from helpers.core.numbers import write_csv
from helpers.figures.style import styled
from helpers.study.config import Config

if TYPE_CHECKING:
    from PIL.Image import Image

P = ParamSpec("P")
SCREEN_DPI, PRINT_DPI, FINE_DPI = 110, 300, 600
SCREEN = ("screen", SCREEN_DPI)
MOST_ROWS = 300
"""Donors above which a map with a row for each would be longer than anyone reads."""
LONGEST_PX = 60_000
"""Dots along a side above which no image can be written; a longer drawing is printed with fewer dots an inch."""
PIXELS_AN_INCH = 107  # on a page, where 8-point type then stands at about 12 pixels

LABEL, CODE = 28, 24
"""Characters of a name and of a code for which figures have room; tables have the whole of it."""

MARK, MARK_IN, MARK_COLOUR = "SIMULATED", 0.14, "#8A2B00"
"""Word, height in inches and colour of the mark on figures of a simulated study."""


@dataclass(frozen=True)
class Picture:
    """A figure that says what it shows.

    Parameters
    ----------
    figure
        The drawing.
    name
        File name without ending.
    alt
        What is to be seen, with its numbers, for readers who cannot see it; computed from `data`.
    caption
        What it is and how to read it.
    data
        The numbers drawn, tidy.
    """

    figure: Figure
    name: str
    alt: str
    caption: str
    data: pd.DataFrame
    _made: dict[tuple[str, int], bytes] = field(default_factory=dict, init=False, repr=False, compare=False)

    def image(self, kind: str, dpi: int = SCREEN_DPI) -> bytes:
        """The figure as ``png``, ``svg``, ``pdf`` or ``tiff``, the same bytes for the same figure.

        Parameters
        ----------
        kind
            Format.
        dpi
            Dots an inch, of png, of tiff, and of what is an image within the others.
        """
        if (kind, dpi) not in self._made:
            with styled():
                if kind == "png":
                    raster = _raster(self.figure, dpi)
                    self._made[kind, dpi] = _png(raster, dpi)
                    self._made[SCREEN] = _few_colours(raster, dpi / SCREEN_DPI)
                else:
                    self._made[kind, dpi] = _printed(self.figure, kind, dpi)
        return self._made[kind, dpi]

    def _for_screen(self) -> bytes:
        """An image for the notebook: where one for print was drawn, that one made smaller, which is quicker."""
        if SCREEN not in self._made:
            self.image("png")
        return self._made[SCREEN]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, str], dict[str, Any]]:
        png = base64.b64encode(self._for_screen()).decode("ascii")
        return {"image/png": png, "text/plain": self.alt}, {
            "image/png": {"alt": self.alt},
            "apap": {
                "name": self.name,
                "caption": self.caption,
                "width": round(self.figure.get_figwidth() * PIXELS_AN_INCH),
            },
        }

    def __repr__(self) -> str:
        return self.alt


def _printed(figure: Figure, kind: str, dpi: int) -> bytes:
    """Draw into a file, once; `Figure.savefig` draws each figure twice, for a box that is not asked for here."""
    out = io.BytesIO()
    with _dots(figure, dpi):
        if kind == "svg":
            FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None})
        elif kind == "pdf":
            from matplotlib.backends.backend_pdf import FigureCanvasPdf  # slow, and asked for seldom

            FigureCanvasPdf(figure).print_pdf(out, metadata={"CreationDate": None})
        else:
            FigureCanvasAgg(figure).print_tif(out, pil_kwargs={"compression": "tiff_lzw", "dpi": (dpi, dpi)})
    return out.getvalue()


def _raster(figure: Figure, dpi: int) -> Image:
    """The figure as dots, on white."""
    from PIL import Image

    with _dots(figure, dpi):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        dots = canvas.buffer_rgba()
    return Image.frombuffer("RGBA", dots.shape[1::-1], dots, "raw", "RGBA", 0, 1).convert("RGB")


@contextmanager
def _dots(figure: Figure, dpi: int) -> Iterator[None]:
    """So many dots an inch while something is drawn, but no side longer than an image can be."""
    before = figure.dpi
    figure.set_dpi(min(dpi, LONGEST_PX / max(figure.get_size_inches())))
    try:
        yield
    finally:
        figure.set_dpi(before)


def _png(raster: Image, dpi: int) -> bytes:
    """A packed image; packing harder takes twice as long for a tenth of the size."""
    out = io.BytesIO()
    raster.save(out, "PNG", dpi=(dpi, dpi), compress_level=3)
    return out.getvalue()


def _few_colours(raster: Image, smaller: float) -> bytes:
    """A screen image in 64 colours: a quarter of the size, so that stored notebooks stay small."""
    from PIL import Image

    out = io.BytesIO()
    if smaller > 1:
        size = (round(raster.width / smaller), round(raster.height / smaller))
        raster = raster.resize(size, Image.Resampling.BOX)
    raster.quantize(64).save(out, "PNG")
    return out.getvalue()


def drawn(draw: Callable[P, Picture]) -> Callable[P, Picture]:
    """Decorate a drawing function so that it draws in the project's style and is laid out once for all formats.

    A picture of a simulated study is marked inside the image, wherever it is pasted later. Which study it is,
    is seen from the arguments: a `Config`, an `Analysis`, or a table that an `Analysis` gave. Names that would leave
    no room for the drawing are shortened.
    """

    @wraps(draw)
    def in_style(*args: P.args, **kwargs: P.kwargs) -> Picture:
        with styled():
            picture = cast("Callable[..., Picture]", draw)(
                *map(_short_labels, args), **{name: _short_labels(value) for name, value in kwargs.items()}
            )
            _shorten_codes(picture.figure)
            if any(_is_simulated(value) for value in (*args, *kwargs.values())):
                _mark_simulated(picture.figure)
            if (engine := picture.figure.get_layout_engine()) is not None:
                engine.execute(picture.figure)
            picture.figure.set_layout_engine("none")
            _settle(picture.figure)
            return picture

    return in_style


def shortened(names: Sequence[str], longest: int) -> list[str]:
    """Names with their middle left out where they are too long; as they are where two would then look the same.

    Examples
    --------
    >>> shortened(["AM alone", "AM with MSC of the second lot, thawed on the day"], 24)
    ['AM alone', 'AM with MSC of…n the day']
    """
    tail = longest * 2 // 5
    out = [n if len(n) <= longest else f"{n[: longest - tail - 1].rstrip()}…{n[-tail:].lstrip()}" for n in names]
    return out if len(set(out)) == len(set(names)) else list(names)


def _short_labels(value: object) -> object:
    """A configuration with labels that figures have room for; anything else as it is."""
    if not isinstance(value, Config):
        return value
    groups = zip(value.groups, shortened([g.label for g in value.groups], LABEL), strict=True)
    conditions = zip(value.conditions, shortened([c.label for c in value.conditions], LABEL), strict=True)
    return replace(
        value,
        groups=tuple(replace(one, label=label) for one, label in groups),
        conditions=tuple(replace(one, label=label) for one, label in conditions),
    )


def _shorten_codes(figure: Figure) -> None:
    """Leave out the middle of long codes, such as a donor's, beside axes and in legends."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if isinstance(axis.get_major_locator(), FixedLocator):
                names = list(axis.get_major_formatter().format_ticks(list(axis.get_majorticklocs())))
                if (own := _codes(names)) != names:
                    axis.set_ticklabels(own)
    for legend in figure.legends:
        for text, short in zip(legend.texts, _codes([t.get_text() for t in legend.texts]), strict=True):
            text.set_text(short)


def _codes(names: Sequence[str]) -> list[str]:
    """Names of one word, shortened."""
    words = [n for n in names if not re.search(r"\s", n)]
    short = dict(zip(words, shortened(words, CODE), strict=True))
    return [short.get(n, n) for n in names]


def _settle(figure: Figure) -> None:
    """Round where the layout put things: its solver differs in the last bit from run to run, and an SVG shows it."""
    for axes in figure.axes:
        left, bottom, width, height = (round(v, 6) for v in axes.get_position(original=True).bounds)
        axes.set_position((left, bottom, width, height))
    for text in figure.texts:
        x, y = text.get_position()
        text.set_position((round(x, 6), round(y, 6)))


def _is_simulated(value: object) -> bool:
    if isinstance(value, pd.DataFrame):
        return bool(value.attrs.get("simulated"))
    config = value.config if isinstance(value, Analysis) else value
    return isinstance(config, Config) and config.simulated


def _mark_simulated(figure: Figure) -> None:
    """Write SIMULATED into a strip that is added below the drawing, so that it covers nothing."""
    if any(text.get_gid() == MARK for text in figure.texts):
        return
    height = figure.get_figheight()
    figure.set_figheight(height + MARK_IN)
    engine, share = figure.get_layout_engine(), MARK_IN / (height + MARK_IN)
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(rect=(0, share, 1, 1 - share))
    figure.text(0.995, share / 2, MARK, ha="right", va="center", fontsize=6.5, color=MARK_COLOUR, gid=MARK)


def show(picture: Picture, out: str = "", pdf_tiff: bool = False) -> Picture:
    """Show a picture in a notebook and, where `out` names a folder, keep it there.

    Parameters
    ----------
    picture
        What to show.
    out
        Folder of the report; ``figures/<name>.svg``, ``.png`` (300 dpi) and ``.csv`` are written into it.
    pdf_tiff
        Whether to write ``.pdf`` and ``.tiff`` (300 and 600 dpi) too, as journals ask for. Figures are drawn at
        the width of a journal's column or page, so that nothing is scaled in print.

    Returns
    -------
    The picture, so that the cell displays it.
    """
    if out:
        folder = Path(out) / "figures"
        # what is an image in it is to be sharp on dense screens
        write_atomically(folder / f"{picture.name}.svg", picture.image("svg", 2 * SCREEN_DPI))
        write_atomically(folder / f"{picture.name}.png", picture.image("png", PRINT_DPI))
        write_atomically(folder / f"{picture.name}.csv", write_csv(picture.data))
    if out and pdf_tiff:
        write_atomically(folder / f"{picture.name}.pdf", picture.image("pdf"))
        for dpi in (PRINT_DPI, FINE_DPI):
            write_atomically(folder / f"{picture.name}_{dpi}dpi.tiff", picture.image("tiff", dpi))
    return picture


def show_all(pictures: Iterable[Picture], out: str = "", pdf_tiff: bool = False) -> None:
    """Show several pictures below each other in a notebook; `out` and `pdf_tiff` as in `show`."""
    from IPython.display import display

    for picture in pictures:
        display(show(picture, out, pdf_tiff))  # type: ignore[no-untyped-call]
        del picture
        gc.collect(1)  # a figure is a ring of many objects, which dozens of figures must not wait with


def sentence_picture(name: str, sentence: str, data: pd.DataFrame, width: float) -> Picture:
    """A picture for which there is nothing to draw: it says so."""
    figure = Figure(figsize=(width, 0.7), layout="constrained")
    axes = figure.add_subplot()
    axes.axis("off")
    axes.text(0, 0.5, sentence, va="center", wrap=True)
    return Picture(figure, name, sentence, sentence, data)


def too_many_donors(name: str, donors: int, data: pd.DataFrame, width: float) -> Picture:
    """What stands in place of a map with a row for each donor where it would have more than `MOST_ROWS`."""
    return sentence_picture(
        name, f"{donors:,} donors are more than a map can show; the table donor_changes has each of them.", data, width
    )
