"""Hooks of the documentation site: pages outside docs/, generated pages, and links.

Pages such as jetson/README.md stay in their folders and appear in the site. A link may lead to any file of the
repository: it works on the file itself, and the site copies the file it leads to.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from docs.tools import schemas
from docs.tools.commands import reference

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]

INCLUDED = {
    "raspberry-pi.md": "raspberry-pi/README.md",
    "jetson.md": "jetson/README.md",
    "benchmarks.md": "benchmarks/README.md",
    "models.md": "models/README.md",
    "samples.md": "samples/README.md",
    "contributing.md": "CONTRIBUTING.md",
    "tests.md": "tests/README.md",
    "security.md": "SECURITY.md",
    "changelog.md": "CHANGELOG.md",
    "examples.md": "examples/README.md",
    **{f"examples/{path.name}": f"examples/{path.name}" for path in sorted((ROOT / "examples").glob("[a-z]*.md"))},
}
"""The files in the repository of pages outside docs/, by page of the site."""

COMMANDS = "commands.md"

_GENERATED: dict[str, Callable[[], str]] = {
    "<!-- fields of a spec -->": schemas.spec_fields,
    "<!-- fields of records -->": schemas.record_fields,
}
"""Mark in a page → what takes its place."""

_LINK = re.compile(r"(?<=\]\()(?P<target>[^)\s#]+)(?P<anchor>#[^)\s]*)?(?=\))")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages outside docs/ and the generated ones."""
    from mkdocs.structure.files import File

    for page, path in INCLUDED.items():
        files.append(File.generated(config, page, content=(ROOT / path).read_text(encoding="utf-8")))
    for path, content in {COMMANDS: reference(), **schemas.files()}.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to files of the repository into links to pages of the site, or to copies."""
    from mkdocs.structure.files import File

    place = page.file.src_uri

    def replaced(link: re.Match[str]) -> str:
        path = repository_path(place, link["target"])
        if path is None:
            return link[0]
        target = site_path(path)
        if target not in files.src_uris:
            files.append(File.generated(config, target, content=(ROOT / path).read_bytes()))
        return posixpath.relpath(target, posixpath.dirname(place) or ".") + (link["anchor"] or "")

    for mark, content in _GENERATED.items():
        markdown = markdown.replace(mark, content() if mark in markdown else "")
    return _LINK.sub(replaced, markdown)


def repository_path(page: str, target: str) -> str | None:
    """Return the file in the repository that a link on a page leads to, or None for addresses and missing files.

    Args:
        page: the page, in the site.
        target: the link's target without its anchor, relative to the page's own file; a folder stands for its README.
    """
    source = INCLUDED.get(page, f"docs/{page}")
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    if (ROOT / path).is_dir():
        path = posixpath.join(path, "README.md")
    return path if not path.startswith("..") and (ROOT / path).is_file() else None


def site_path(path: str) -> str:
    """Return the place in the site of a file in the repository."""
    pages = {source: page for page, source in INCLUDED.items()}
    if path in pages:
        return pages[path]
    return path.removeprefix("docs/") if path.startswith("docs/") else f"files/{path}"
