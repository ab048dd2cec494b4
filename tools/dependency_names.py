"""Print the names of everything that pyproject.toml asks for, without versions (needs Python 3.11 or newer)."""

import re
from pathlib import Path

import tomllib

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))
wanted = [
    *project["project"]["dependencies"],
    *(name for names in project["project"]["optional-dependencies"].values() for name in names),
    *(name for names in project["dependency-groups"].values() for name in names),
]
print("\n".join(sorted({re.split(r"[^\w.-]", name)[0] for name in wanted})))
