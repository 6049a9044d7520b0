"""Runs the Python of a page of the documentation, block after block, and holds it to what the page says it gives.

A line `print(…)  # text` prints that text. A block of text right after a block of Python is all that this prints, with
the error that ends it, if one does; its lines of source are the page's, by their number in the block.

    python -m tests.federated.pages PAGE…     writes such blocks of text anew, when messages have changed
"""

import contextlib
import io
import linecache
import re
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_BLOCK = r"^```{language}\n(.*?)^```\n(?:```text\n(.*?)^```\n)?"
_PROMISE = re.compile(r"^ *print\(.*\)  # (.*)$", re.MULTILINE)
_FILE = re.compile(r"<page \d+>\.py:")


@dataclass(frozen=True)
class Block:
    """A block of Python, what it says that it prints, and whether that is a block of its own."""

    code: str
    promised: str
    is_shown: bool


def blocks_of(page: str, language: str = "python") -> list[Block]:
    """The blocks in a page's text; in `py`, Python that needs something of its surroundings."""
    found = re.findall(_BLOCK.format(language=language), page, re.DOTALL | re.MULTILINE)
    return [
        Block(code, text or "".join(f"{line}\n" for line in _PROMISE.findall(code)), bool(text)) for code, text in found
    ]


def run_page(
    page: Path,
    *,
    language: str = "python",
    blocks: slice = slice(None),
    replaced: Mapping[str, str] | None = None,
    module: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Run the blocks of a page in one module, which is given back.

    Args:
        language: which blocks; see `blocks_of`.
        blocks: which of those.
        replaced: what stands on the page, and what to run in its place.
        module: one that earlier blocks were run in.

    Raises:
        AssertionError: a block does not print what it promises.
    """
    module = {"__name__": "page"} if module is None else module
    found = blocks_of(page.read_text(), language)[blocks]
    assert found
    for block in found:
        code = block.code
        for written, meant in (replaced or {}).items():
            code = code.replace(written, meant)
        printed = _printed(code, module)
        assert printed == block.promised, f"{block.code}\nprints\n{printed}\nand promises\n{block.promised}"
    return module


def _printed(code: str, module: dict[str, Any]) -> str:
    file = f"<page {len(linecache.cache)}>.py"
    linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            exec(compile(code, file, "exec"), module)  # noqa: S102 - the page is ours
        except Exception as error:
            print(f"{type(error).__name__}: {error}")
    return _FILE.sub("page.py:", out.getvalue())


def _rewrite(page: Path) -> None:
    module: dict[str, Any] = {"__name__": "page"}
    text = page.read_text()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for block in blocks_of(text):
            printed = _printed(block.code, module)
            if block.is_shown:
                end = f"{block.code}```\n```text\n"
                text = text.replace(end + block.promised, end + printed)
    page.write_text(text)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        _rewrite(Path(argument).absolute())
