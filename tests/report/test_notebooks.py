"""Running one notebook: its parameters are checked, its text is scrubbed, its results are kept."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from helpers.report.notebooks import (
    NOTEBOOKS,
    TEMPLATES,
    WrongParameter,
    _body,
    check_parameters,
    declared_parameters,
    render,
    study_notebooks,
)

SOURCE = NOTEBOOKS / "00_data_check.ipynb"


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"studdy": "x"}, "has no parameter studdy; it has study"),
        ({"study": 3}, "is of type str"),
        ({"study": "fine", "zzz": 1}, "has no parameter zzz"),
    ],
)
def test_a_wrong_parameter_is_refused_with_what_there_is(parameters: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(WrongParameter, match=says):
        render(SOURCE, parameters, tmp_path, "digest", "id")


def test_a_parameter_that_looks_like_an_identity_is_refused_unsaid(tmp_path: Path) -> None:
    source = tmp_path / "x.ipynb"
    cell = {
        "cell_type": "code",
        "metadata": {"tags": ["parameters"]},
        "source": ['study: str = ""\n', 'donor: str = ""'],
    }
    source.write_text(json.dumps({"cells": [cell]}))
    check_parameters(source, {"donor": "D07"})
    for secret in ("13800138000", "张伟", "11010519491231002X"):
        with pytest.raises(WrongParameter) as refused:
            check_parameters(source, {"donor": secret})
        assert secret not in str(refused.value)


def shown(kind: str, name: str) -> nbformat.NotebookNode:
    data = {"image/png": base64.b64encode(b"for the screen").decode(), "text/plain": "What is seen: 3 < 4."}
    own = {"image/png": {"alt": "What is seen: 3 < 4."}, "apap": {"name": name, "caption": f"Caption of {name}.", "width": 300}}  # fmt: skip
    return nbformat.v4.new_output(kind, data=data, metadata=own)


def test_each_of_several_figures_of_a_cell_is_shown_like_a_single_one() -> None:
    """Alt text, caption, files, and the 300-dpi image in place of the one for the screen."""
    names = ("first", "second_of.2", "alone")
    cells = [nbformat.v4.new_code_cell("show_all(…)", outputs=[shown("display_data", n) for n in names[:2]])]
    cells.append(nbformat.v4.new_code_cell("show(…)", outputs=[shown("execute_result", names[2])]))
    page = _body(nbformat.v4.new_notebook(cells=cells), {f"figures/{n}.png": n.encode() for n in names})
    figures = re.findall(r"<figure>.*?</figure>", page, flags=re.S)
    assert len(figures) == 3
    for name, figure in zip(names, figures, strict=True):
        assert 'alt="What is seen: 3 &lt; 4."' in figure and f"Caption of {name}." in figure
        assert base64.b64encode(name.encode()).decode() in figure, "the image for print"
        assert base64.b64encode(b"for the screen").decode() not in figure
        assert all(f'href="figures/{name}.{kind}"' in figure for kind in ("svg", "png", "csv"))


@pytest.mark.parametrize("template", sorted(TEMPLATES.rglob("*.j2")), ids=lambda p: p.relative_to(TEMPLATES).as_posix())
def test_words_that_a_reader_sees_come_from_the_words_of_the_room(template: Path) -> None:
    """A translation then needs no template; names of files and formats stay."""
    text = re.sub(r"\{[{%].*?[%}]\}", " ", template.read_text(encoding="utf-8"), flags=re.S)
    named = re.findall(r'(?:alt|title|aria-label|placeholder)="([^"]*)"', text)
    seen = re.sub(r"<(style|script)\b.*?</\1>|<[^>]*>", " ", text, flags=re.S)
    left = re.findall(r"[^\W\d_]+", re.sub(r"\S+\.(?:docx|xlsx|csv|json)|SVG", " ", " ".join([seen, *named])))
    assert not [word for word in left if word != "csv"]


@pytest.mark.parametrize("name", study_notebooks())
def test_every_notebook_follows_the_house_rules(name: str) -> None:
    """Typed parameters first, cells of a few lines, more words than code, nothing defined, no conclusion typed in."""
    source = study_notebooks()[name]
    cells = json.loads(source.read_text(encoding="utf-8"))["cells"]
    text = {k: [("".join(c["source"])) for c in cells if c["cell_type"] == k] for k in ("code", "markdown")}
    assert {"study", "out"} <= set(declared_parameters(source))
    first_code = next(c for c in cells if c["cell_type"] == "code")
    assert first_code["metadata"]["tags"] == ["parameters"]
    assert cells[0]["cell_type"] == "markdown" and text["markdown"][0].startswith("# ")
    assert sum(t.count("# ") == 1 and t.startswith("# ") for t in text["markdown"]) == 1, "one title"
    for code in text["code"]:
        assert len(code.splitlines()) <= 8, code
        assert "def " not in code and "class " not in code and "lambda" not in code
    words = {k: sum(len(t.split()) for t in v) for k, v in text.items()}
    assert words["markdown"] > words["code"]
