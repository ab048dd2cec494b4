"""Sphinx's configuration. `make docs` builds from the pages that tools/docs_pages.py writes."""

import re

import hookscope

project = "Hookscope"
release = version = hookscope.__version__
html_title = "Hookscope"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["**/*-[0-9]*.html"]
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_copyright = False
html_show_sourcelink = False
html_copy_source = False
html_show_search_summary = False  # it is fetched, which a page that was opened from disk may not do
templates_path: list[str] = []

myst_heading_anchors = 4
autodoc_typehints = "none"  # annotations hold what menus are made from; docstrings say what is meant
autodoc_member_order = "bysource"
maximum_signature_line_length = 90
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True


def as_rst(app, what, name, obj, options, lines):
    """Docstrings are plain text with code between single backquotes: what else RST would read as markup is escaped."""
    for i, line in enumerate(lines):
        parts = re.split(r"`([^`]+)`", line)
        for j, part in enumerate(parts):
            ends_in_word = parts[j + 1 : j + 2] and parts[j + 1][:1].isalnum()
            parts[j] = f"``{part}``" + ("\\ " if ends_in_word else "") if j % 2 else part.replace("*", "\\*")
        lines[i] = "".join(parts)
    in_item = False
    for i, line in enumerate(lines):  # "name: what it is" at the margin, and the lines that hang below it
        item = re.match(r"([a-z]+(?:_[a-z]+)*): (?=\S)", line)
        in_item = bool(item) or (in_item and line.startswith("    "))
        if in_item:
            lines[i] = f"- ``{item[1]}``: {line[item.end() :]}" if item else f"  {line.strip()}"


def as_one_name(app, what, name, obj, options, lines):
    """Several attributes that share a description: Sphinx would take the first ones for a type."""
    for i, line in enumerate(lines):
        lines[i] = re.sub(r"(?<=:ivar )[\w, ]+(?=:)", lambda names: names[0].replace(", ", "/"), line)


def setup(app):
    app.connect("autodoc-process-docstring", as_rst, priority=100)  # before napoleon
    app.connect("autodoc-process-docstring", as_one_name, priority=900)
