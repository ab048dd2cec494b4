"""The documentation: every method and view has a page, every link leads somewhere, and every Python block runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from docs_pages import BLOCK, DOCS, ROOT, VIEWS, Block, Session, blocks, public, public_methods, shown

import hookscope as hs
from hookscope.panel import Panel

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
WITH_CODE = [path for path in PAGES if BLOCK.search(path.read_text("utf-8"))]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```[ ]*$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
SECTIONS = ["**Question.**", "## The call", "## How to read it", "## When it misleads", "## Oracle", "## Cost"]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def anchors_of(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub and MyST make them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dead_links(path: Path, text: str) -> list[str]:
    """The relative links of a page that lead to no file, or to no heading of it."""
    dead = []
    for link in LINK.findall(CODE.sub("", text)):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve()
        there = text if not file else target.read_text("utf-8", "replace") if target.is_file() else None
        if there is None or (anchor and anchor not in anchors_of(there)):
            dead.append(link)
    return dead


ON_ANOTHER_PAGE = {
    "transcoder_fit": "train_transcoders",
    **dict.fromkeys(("feature_interventions", "edge_heads", "score_features"), "attribution_graph"),
}


def test_every_public_method_has_a_page_with_all_of_its_sections():
    pages = {path.stem: path.read_text("utf-8") for path in (DOCS / "methods").glob("*.md")}
    index = pages.pop("index")
    assert set(pages) == set(public_methods()) - set(ON_ANOTHER_PAGE)
    for name, text in pages.items():
        assert [section for section in SECTIONS if section not in text] == [], name
        assert f"ib.{name}(" in text and f"({name}.md)" in index, name
    for name, page in ON_ANOTHER_PAGE.items():
        assert f"ib.{name}(" in pages[page], name


def test_every_view_has_a_page():
    views = {value for _, value in public(hs) if isinstance(value, type) and issubclass(value, Panel)}
    assert views == set(VIEWS.values())
    for name, view in VIEWS.items():
        assert f"hs.{view.__name__}(" in (DOCS / "views" / f"{name}.md").read_text("utf-8")


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_every_link_leads_to_a_file_or_a_heading(path):
    assert dead_links(path, path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", WITH_CODE, ids=name_of)
def test_every_python_block_runs(path):
    with Session(name_of(path)) as session:
        for block, _ in blocks(path.read_text("utf-8")):
            if block.runs:
                shown(session.run(block)[1])


def test_few_blocks_are_not_run():
    skipped = [name_of(path) for path in WITH_CODE for block, _ in blocks(path.read_text("utf-8")) if not block.runs]
    # They load models or transcoders from a hub and from files.
    assert skipped == ["docs/methods/train_transcoders.md", "docs/start.md"]


def test_dead_links_are_found():
    page = DOCS / "start.md"
    text = "[a](methods/index.md) [b](methods/none.md) [c](#a-model) [d](#no-model) [e](glossary.md#in-a-model)\n"
    text += "[f](https://example.org) [g](glossary.md#no) `[h](no.md)`\n## A model\n"
    assert dead_links(page, text) == ["methods/none.md", "#no-model", "glossary.md#no"]


def test_a_block_that_fails_says_where():
    text = "# Page\n\n```python\nx = 1\n```\n\n```python\ny = 2\nx / 0\n```\n"
    first, second = (block for block, _ in blocks(text))
    with Session("docs/page.md") as session:
        assert session.run(first) == ("", None)
        with pytest.raises(ZeroDivisionError) as problem:
            session.run(second)
    last = problem.traceback[-1]
    assert (str(last.path), last.lineno + 1) == ("docs/page.md", 9)


def test_a_mark_that_means_nothing_is_refused():
    with Session("docs/page.md") as session, pytest.raises(ValueError, match=r"docs/page.md:3: .* no mark 'norun'"):
        session.run(Block("1 / 0", 3, "norun"))
