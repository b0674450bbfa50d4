from pathlib import Path
from textwrap import dedent

import pytest

from tests.docs.blocks import Block, Command, blocks_of

PAGE = """
    # Before

    ```sh
    first
    ```

    ## After

    <!-- run: exit 40 -->
    <!-- another
    comment -->
    ```console
    $ say hello \\
        twice
    hello
    hello
    $ nothing
    ```

    <!-- of the text, not of the block -->
    Text.

    1. In a list:

       ```yaml title="models.yaml"
       key: value
       ```

    And indented:

        <dest>/
"""


@pytest.fixture
def blocks(tmp_path: Path) -> tuple[Block, ...]:
    """The blocks of a page with one of each kind."""
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    page.write_text(dedent(PAGE))
    return blocks_of(page, tmp_path)


def test_every_block_is_found_with_its_language(blocks: tuple[Block, ...]) -> None:
    """Fences, fences in lists and indented blocks are all found, and none is taken for another."""
    found = [(block.place, block.language, block.is_shell) for block in blocks]
    assert found == [
        ("docs/page.md:4", "sh", True),
        ("docs/page.md:13", "console", True),
        ("docs/page.md:26", "yaml", False),
        ("docs/page.md:32", "", False),
    ]
    assert blocks[2].text == "key: value\n"


def test_a_block_knows_its_heading_and_its_comments(blocks: tuple[Block, ...]) -> None:
    """A comment belongs to the block that directly follows, and to nothing else."""
    assert [block.heading for block in blocks] == ["Before", "After", "After", "After"]
    assert [block.comments for block in blocks] == [(), ("run: exit 40", "another\ncomment"), (), ()]


def test_commands_are_told_from_what_they_print(blocks: tuple[Block, ...]) -> None:
    """A console's commands begin with a dollar and go on after a backslash; a script is one command."""
    assert blocks[0].commands() == (Command(typed="first\n", shown=""),)
    assert blocks[1].commands() == (
        Command(typed="say hello \\\n    twice\n", shown="hello\nhello\n"),
        Command(typed="nothing\n", shown=""),
    )
