"""The documentation does what it says: its examples run, its links lead somewhere."""

from __future__ import annotations

import ast
import asyncio
import doctest
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import coverage_page
import policy_table
import pytest
import reference_page

import ttorm
import ttorm.public
from ttorm.api import errors
from ttorm.api.operations import OPERATIONS
from ttorm.records.meta import Meta

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(
    r"(?:^<!-- skip:(?P<reason>[^\n]*)-->\n+)?^```python\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """A block of Python in a page.

    Attributes:
        line: Lines of the page before it.
        code: Its text.
        skip: Why it is not run; None when it is.
    """

    line: int
    code: str
    skip: str | None


def blocks(page: str) -> Iterator[Block]:
    for found in BLOCK.finditer(page):
        reason = found["reason"]
        line = page.count("\n", 0, found.start("code"))
        yield Block(line, found["code"], None if reason is None else reason.strip())


def run_page(name: str, page: str) -> ModuleType:
    """Run the blocks of a page one after the other in one module.

    A block with prompts is held to the output it shows. Any other is executed, and may use
    `await` outside a function as the interactive shells do.
    """
    module = ModuleType(re.sub(r"\W", "_", name))
    # Classes find the names in their annotations through the module they say they are from.
    sys.modules[module.__name__] = module
    try:
        for block in blocks(page):
            if block.skip is None:
                run_block(block, name, module)
    finally:
        del sys.modules[module.__name__]
    return module


def run_block(block: Block, name: str, module: ModuleType) -> None:
    if block.code.lstrip().startswith(">>>"):
        check_block(block, name, module)
        return
    # Line numbers in a trace are those of the page.
    code = compile("\n" * block.line + block.code, name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if code.co_flags & inspect.CO_COROUTINE:
        asyncio.run(eval(code, vars(module)))
    else:
        exec(code, vars(module))


def check_block(block: Block, name: str, module: ModuleType) -> None:
    runner = doctest.DebugRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    example = doctest.DocTestParser().get_doctest(block.code, vars(module), name, name, block.line)
    runner.run(example, clear_globs=False)
    vars(module).update(example.globs)


def anchors(page: str) -> set[str]:
    """The anchors that the headings of a page get."""
    headings = re.findall(
        r"^#+ (.+)$", re.sub(r"```.*?```", "", page, flags=re.DOTALL), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}


@pytest.fixture
def own_place(tmp_path, monkeypatch):
    """A folder for the files an example makes, and none of the reader's settings."""
    monkeypatch.chdir(tmp_path)
    for name in ("TTORM_URL", "TTORM_SECRET", "TTORM_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_examples_of_a_page_run(path, own_place):
    run_page(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_block_is_left_out_for_a_reason_only(path):
    assert all(block.skip != "" for block in blocks(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_links_of_a_page_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        page = path.parent / file if file else path
        assert page.exists(), target
        if anchor:
            assert anchor in anchors(page.read_text(encoding="utf-8")), target


def test_the_index_leads_to_every_page():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert pages == set(re.findall(r"\]\((\S+?\.md)\)", index))


def test_the_page_of_connections_has_all_options():
    page = (ROOT / "docs" / "connections.md").read_text(encoding="utf-8")
    options = {name for name in inspect.signature(ttorm.connect).parameters if name != "url"}
    table = page.partition("| option | what |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)=`", table)) == options


def test_the_page_of_models_has_all_options():
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    table = page.partition("| option of `Meta` |")[2].partition("\n\n")[0]
    rows = [row.partition(" | ")[0] for row in table.splitlines()[2:]]
    assert set(re.findall(r"`(\w+)`", " ".join(rows))) == set(Meta._fields)


def test_every_error_code_has_its_section_and_every_section_its_code():
    classes = [c for c in vars(errors).values() if inspect.isclass(c)]
    codes = {c.code for c in classes if issubclass(c, errors.TtormError)}
    for source in (ROOT / "ttorm").rglob("*.py"):
        codes |= set(re.findall(r'\bcode="([a-z-]+)"', source.read_text(encoding="utf-8")))
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^## ([a-z-]+)$", page, re.MULTILINE)) == codes


def test_every_error_is_explained_where_its_code_leads():
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## ([a-z-]+)\n\n(.+?)(?=^#|\Z)", page, re.MULTILINE | re.DOTALL))
    for error in vars(ttorm.public).values():
        if inspect.isclass(error) and issubclass(error, ttorm.TtormError):
            assert f"`{error.__name__}`" in sections[error.code], error
            page, _, anchor = error().help.partition("#")
            assert anchor in anchors((ROOT / page).read_text(encoding="utf-8"))


def test_the_page_of_the_emulator_has_all_switches():
    page = (ROOT / "docs" / "emulator.md").read_text(encoding="utf-8")
    assert policy_table.table() in page, (
        "docs/emulator.md needs what python tests/support/policy_table.py prints"
    )


def test_the_page_of_coverage_is_current():
    committed = (ROOT / "docs" / "coverage.md").read_text(encoding="utf-8")
    assert committed == coverage_page.page(), (
        "docs/coverage.md is old: run python tests/support/coverage_page.py > docs/coverage.md"
    )


def test_the_reference_is_current():
    committed = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert committed == reference_page.page(), (
        "docs/reference.md is old: run python tests/support/reference_page.py > docs/reference.md"
    )


@pytest.mark.parametrize(
    "module", [ttorm, ttorm.rules, ttorm.signals, ttorm.webhooks, ttorm.emulator]
)
def test_the_reference_has_every_public_name(module):
    page = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(?:ttorm\.)?(\w+)[`(]", page))
    assert set(module.__all__) <= named


@pytest.mark.parametrize("name", [name for name, row in OPERATIONS.items() if row.credential])
def test_an_operation_is_called_by_the_tests_that_the_page_of_coverage_names(name):
    tests, _ = coverage_page.AREAS[OPERATIONS[name].category]
    files = [coverage_page.EMULATOR / f"test_{test}.py" for test in tests.split()]
    assert any(f'"{name}"' in file.read_text(encoding="utf-8") for file in files)


def test_an_example_that_is_wrong_is_noticed():
    with pytest.raises(AssertionError):
        run_page("page", "```python\nassert 1 == 2\n```\n")
    with pytest.raises(doctest.DocTestFailure):
        run_page("page", "```python\n>>> 1 + 1\n3\n```\n")


def test_blocks_share_their_names_and_may_await():
    page = (
        "```python\nimport asyncio\nn = 1\n```\n\n```python\nawait asyncio.sleep(0)\nn += 1\n```\n"
    )
    page += "\n```python\n>>> n\n2\n>>> n = 5\n```\n"
    assert run_page("page", page).n == 5


def test_a_skipped_block_is_not_run():
    (block,) = blocks("<!-- skip: needs an account -->\n```python\n1 / 0\n```\n")
    assert block.skip == "needs an account"
