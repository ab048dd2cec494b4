"""Text in Markdown: HTML in it is shown as text, links lead to pages alone, and nothing is loaded."""

from __future__ import annotations

import re
from html import escape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
MARKDOWN.validateLink = lambda url: re.match("(https?|mailto):", url, re.IGNORECASE) is not None
BLOCKS = ("code_block", "fence")
CODE = (*BLOCKS, "code_inline")


def _scrolled_by_keyboard(_renderer: Any, tokens: Any, index: int, _options: Any, _env: Any) -> str:
    return f'<pre tabindex="0"><code>{escape(tokens[index].content)}</code></pre>\n'


for block in BLOCKS:
    MARKDOWN.add_render_rule(block, _scrolled_by_keyboard)


def tree(text: str) -> list[Any]:
    """Markdown as elements for a view, each a text or `[tag, attributes, parts]`."""
    return _parts(SyntaxTreeNode(MARKDOWN.parse(text)))


def _parts(node: SyntaxTreeNode) -> list[Any]:
    return [part for child in node.children for part in _elements(child)]


def _elements(node: SyntaxTreeNode) -> list[Any]:
    if node.type in ("inline", "text", "softbreak") or not node.tag:
        return _parts(node) or [node.content or "\n"]
    attributes = {"href": str(node.attrs["href"])} if "href" in node.attrs else {}
    element = [node.tag, attributes, [node.content] if node.type in CODE else _parts(node)]
    return [["pre", {}, [element]]] if node.type in BLOCKS else [element]


def fenced(code: str) -> str:
    """Code as a block of Markdown, whatever it contains."""
    longest = max((len(run) for run in re.findall("`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{code.rstrip()}\n{fence}"
