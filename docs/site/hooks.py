"""Makes the pages of docs/ fit for the site, and leaves them as they are for a code host.

- Links that lead out of docs/ lead to pages of the site, which are made of the files they name, below `files/`.
- `python runnable`, `text output` and the like are for the tests: the site gets the first word.
- The diagram of states becomes a table: what draws it would be fetched from elsewhere.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
FILES = "files"  # below it are the pages that are made here
FENCE = re.compile(r"^(```+)[ \t]*(\S*)[ \t]*(.*)$")
LINK = re.compile(r"(?P<before>!?\[(?:[^\[\]]|\[[^\]]*\])*\]\()(?P<target>[^)\s]+)(?P<after>\))")
# A comment that a table follows at once is taken for a part of it.
COMMENT = re.compile(r"^(<!--.*-->)$", re.M)
LANGUAGES = {
    ".py": "python", ".yaml": "yaml", ".toml": "toml", ".conf": "nginx", ".service": "ini", ".env": "ini",
    ".example": "ini",
}  # fmt: skip


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds a page for each file outside of docs/ that a page links to, and for those that these link to."""
    files.append(File.generated(config, "site/icon.svg", abs_src_path=str(ROOT / "ui/src/icon.svg")))
    waiting = [Path(file.abs_src_path) for file in files.documentation_pages() if file.abs_src_path]
    made: set[Path] = set()
    while waiting:
        source = waiting.pop()
        text = content(source) if source.is_dir() or source.suffix == ".md" else ""
        for link in LINK.finditer(text):
            found = outside(source, link["target"])
            if found is not None and found not in made:
                made.add(found)
                files.append(File.generated(config, address(found), content=content(found)))
                waiting.append(found)
    return files


def outside(source: Path, target: str) -> Path | None:
    """The file (or folder) of the project, outside of docs/, that a link in `source` leads to."""
    path = target.partition("#")[0]
    if not path or re.match(r"[a-z]+:|/", path):
        return None
    found = ((source if source.is_dir() else source.parent) / path).resolve()
    if not found.exists() or ROOT not in found.parents or ROOT / "docs" in (found, *found.parents):
        return None
    return found / "README.md" if (found / "README.md").is_file() else found


def address(file: Path) -> str:
    """Where in the site the page of a file is."""
    name = file.relative_to(ROOT).as_posix()
    if file.is_dir():
        return f"{FILES}/{name}/index.md"
    if file.name == "README.md":
        return f"{FILES}/{name.removesuffix('README.md')}index.md"
    return f"{FILES}/{name}.md"


def content(file: Path) -> str:
    """The page of a file: a page of Markdown as it is, a folder as a list, anything else as code."""
    if file.is_dir():
        inside = sorted(each.name for each in file.iterdir() if not each.name.startswith((".", "_")))
        return f"# {file.relative_to(ROOT).as_posix()}\n\n" + "".join(f"- [{name}]({name})\n" for name in inside)
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".md":
        return text
    name = file.relative_to(ROOT).as_posix()
    language = LANGUAGES.get(file.suffix, "docker" if file.name == "Dockerfile" else "text")
    return f"# {name}\n\n````{language}\n{text}````\n"


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    source = origin(page)
    if page.file.src_uri.startswith(f"{FILES}/"):
        page.meta.setdefault("search", {"exclude": True})  # what links to it is found
    text = apart(markdown, fence, lambda prose: COMMENT.sub(r"\1\n", led(prose, source, page.file.src_uri)))
    return re.sub(r"^```mermaid\n(.*?)^```$", lambda found: matrix(found[1]), text, flags=re.M | re.S)


def origin(page: Page) -> Path:
    """The file that a page is made of."""
    uri = page.file.src_uri
    if not uri.startswith(f"{FILES}/"):
        return ROOT / "docs" / uri
    name = uri.removeprefix(f"{FILES}/")
    if name.endswith("index.md"):
        folder = ROOT / name.removesuffix("index.md")
        return folder / "README.md" if (folder / "README.md").is_file() else folder
    return ROOT / name.removesuffix(".md")


def apart(markdown: str, code: Callable[[str], str], prose: Callable[[str], str]) -> str:
    """The page with what is done to the lines that begin code, and to the text between blocks of code."""
    parts: list[str] = []
    lines: list[str] = []
    closing = ""
    for line in markdown.splitlines(keepends=True):
        found = FENCE.match(line)
        if closing:
            parts.append(line)
            if line.strip() == closing:
                closing = ""
        elif found:
            parts += [prose("".join(lines)), code(line)]
            lines, closing = [], found[1]
        else:
            lines.append(line)
    return "".join([*parts, prose("".join(lines))])


def fence(line: str) -> str:
    """The first line of a block of code, as the site's Markdown knows it."""
    found = FENCE.match(line)
    assert found is not None
    ticks, language, rest = found.groups()
    return f'{ticks}{language} title="Output"\n' if rest == "output" else f"{ticks}{language}\n"


def led(prose: str, source: Path, uri: str) -> str:
    """A text whose links out of docs/ lead to pages of the site; and those of such pages back."""

    def lead(found: re.Match[str]) -> str:
        path, mark, anchor = found["target"].partition("#")
        file = outside(source, found["target"])
        if file is not None:
            path = posixpath.relpath(address(file), posixpath.dirname(uri) or ".")
        elif uri.startswith(f"{FILES}/") and path and not re.match(r"[a-z]+:|/", path):
            inside = (source.parent / path).resolve()
            if ROOT / "docs" in inside.parents:
                path = posixpath.relpath(inside.relative_to(ROOT / "docs").as_posix(), posixpath.dirname(uri))
        return f"{found['before']}{path}{mark}{anchor}{found['after']}"

    return LINK.sub(lead, prose)


def matrix(diagram: str) -> str:
    """A table of which state may follow which, from a state diagram. What is so for a box is so for all in it."""
    box: set[str] = set()
    edges: list[tuple[str, str]] = []
    inside = False
    for line in diagram.splitlines():
        words = line.split()
        if words[:1] == ["state"]:
            inside = True
        elif words == ["}"]:
            inside = False
        elif len(words) == 3 and words[1] == "-->":
            edges.append((words[0], words[2]))
            box |= {words[0], words[2]} if inside else set()
    whole = {(name, after) for before, after in edges for name in (box if before == "Open" else {before})}
    names = dict.fromkeys(name for edge in edges for name in edge if name != "Open")
    rows = ["| a run that is | may become |", "|---|---|"]
    for name in names:
        after = ", ".join(each for each in names if (name, each) in whole and each != "[*]")
        rows.append(f"| {'new' if name == '[*]' else name} | {after or 'nothing: it is over'} |")
    return "\n".join(rows)
