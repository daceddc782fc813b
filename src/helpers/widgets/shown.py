"""How widgets show things: pictures with their alt text, tables, sentences; and a picture where no widget can run."""

from __future__ import annotations

import base64
import html
from typing import Any

import ipywidgets
from IPython.core.formatters import format_display_data

from helpers.figures.base import Picture
from helpers.tables.base import TableView

SCREEN_DPI = 110
_STYLE = (
    "<style>.apap-explore .jp-RenderedHTMLCommon table{margin:0;font-variant-numeric:tabular-nums;border-collapse:collapse}"
    ".apap-explore caption{text-align:left;font-weight:600;padding:.2em 0 .4em}"
    ".apap-explore .jp-RenderedHTMLCommon td,.apap-explore .jp-RenderedHTMLCommon th{text-align:left;vertical-align:top;padding:.25em .7em .25em 0;line-height:1.35}"
    ".apap-explore .jp-RenderedHTMLCommon th.num,.apap-explore .jp-RenderedHTMLCommon td.num{text-align:right}.apap-explore .unit{display:block;font-weight:400}"
    ".apap-explore .table-wrap{overflow:auto;max-height:22em}.apap-explore thead th{position:sticky;top:0;"
    "background:var(--jp-layout-color1,#fff)}.apap-explore ul.footnotes,.apap-explore figcaption{font-size:.92em;"
    "line-height:1.4;max-width:60em}.apap-explore figure{margin:.4em 0}.apap-explore p{line-height:1.4;max-width:60em}</style>"
)


class Explorer(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """A column of widgets that, where no widget can run, is the picture it showed last.

    Parameters
    ----------
    children
        Widgets from top to bottom.
    """

    def __init__(self, children: tuple[Any, ...] = ()) -> None:
        super().__init__((ipywidgets.HTML(_STYLE), *children))
        self.add_class("apap-explore")
        self.picture: Picture | None = None

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        bundle = dict(super()._repr_mimebundle_(**kwargs))
        if self.picture is None:
            return bundle, {}
        still, about = format_display_data(self.picture)  # type: ignore[no-untyped-call]
        return bundle | still, about


def text(words: str = "") -> Any:
    """A widget that shows sentences."""
    return box(sentence(words) if words else "")


def sentence(words: str) -> str:
    """Sentences as HTML.

    Examples
    --------
    >>> sentence("n < 5")
    '<p>n &lt; 5</p>'
    """
    return f"<p>{html.escape(words)}</p>"


def box(content: str = "") -> Any:
    """A widget that shows HTML in the style of JupyterLab's own outputs."""
    out = ipywidgets.HTML(content)
    out.add_class("jp-RenderedHTMLCommon")
    return out


def image(picture: Picture) -> str:
    """A picture as HTML with its alt text and caption.

    Parameters
    ----------
    picture
        What to show.
    """
    data = base64.b64encode(picture.image("png", SCREEN_DPI)).decode("ascii")
    alt, caption = html.escape(picture.alt, quote=True), html.escape(picture.caption)
    return f'<figure><img alt="{alt}" src="data:image/png;base64,{data}"><figcaption>{caption}</figcaption></figure>'


def table(view: TableView) -> str:
    """A table as HTML."""
    return view._repr_html_()
