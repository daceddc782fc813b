"""The pictures of README's gallery are outputs of the stored notebooks, so that they are as fresh as those."""

from __future__ import annotations

import base64
import json

from helpers.core.files import PROJECT

GALLERY = {
    "docs/gallery_curves.png": ("02_cytokine_analysis", "all_standard_curves("),
    "docs/gallery_gates.png": ("03_phenotype_summary", "representative_gating("),
    "docs/gallery_uptake.png": ("04_phagocytosis_results", "all_histograms("),
    "docs/gallery_response.png": ("05_msc_response", "response_map("),
}
"""Picture of the gallery: notebook, and the call whose first figure it is."""


def figure_of(notebook: str, call: str) -> bytes:
    """The first figure that a call left in a stored notebook, as PNG."""
    stored = json.loads((PROJECT / "notebooks" / f"{notebook}.ipynb").read_text(encoding="utf-8"))
    cells = [c for c in stored["cells"] if c["cell_type"] == "code" and call in "".join(c["source"])]
    figures = [o["data"]["image/png"] for c in cells for o in c["outputs"] if "image/png" in o.get("data", {})]
    return base64.b64decode("".join(figures[0]))


def write_gallery() -> None:
    """Write every picture of the gallery."""
    for file, (notebook, call) in GALLERY.items():
        (PROJECT / file).write_bytes(figure_of(notebook, call))


if __name__ == "__main__":
    write_gallery()
