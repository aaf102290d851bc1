"""Write docs/commands/*.md, a page for each command, from the command line itself.

    python docs/make_commands.py

tests/test_docs.py fails when the pages and the command line differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

from explorer import errors
from explorer.cli import app

FOLDER = Path(__file__).parent / "commands"


def pages() -> dict[str, str]:
    """Return every page, by the name of its file in docs/commands."""
    group: Any = typer.main.get_command(app)
    found = {f"{name}.md": _page(name, command) for name, command in group.commands.items()}
    return {**found, "README.md": _index(group.commands)}


def _page(name: str, command: Any) -> str:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option" and not one.hidden]
    words = " ".join(["explore", name, *(one.metavar if one.required else f"[{one.metavar}]" for one in arguments)])
    parts = [f"# explore {name}", command.help.strip(), f"```text\n{words}{' [OPTIONS]' if options else ''}\n```"]
    if arguments:
        parts.append(_table("argument", [(f"`{one.metavar}`", one.help or "") for one in arguments]))
    if options:
        parts.append(_table("option", [(_names(one), _text(one)) for one in options]))
    parts.append("Exit codes: [README.md](README.md).")
    return "\n\n".join(parts) + "\n"


def _names(option: Any) -> str:
    metavar = "" if option.is_flag else f" {option.metavar}"
    return ", ".join(f"`{name}{metavar}`" for name in option.opts)


def _text(option: Any) -> str:
    has_default = not option.is_flag and option.default is not None and not option.multiple
    return f"{option.help} Default: `{option.default}`." if has_default else str(option.help)


def _table(heading: str, rows: list[tuple[str, str]]) -> str:
    lines = [f"| {heading} | |", "|---|---|", *(f"| {left} | {right} |" for left, right in rows)]
    return "\n".join(lines)


def _index(commands: Mapping[str, Any]) -> str:
    rows = [(f"[`explore {name}`]({name}.md)", command.help.strip()) for name, command in commands.items()]
    codes = [("0", "done"), *_exit_codes()]
    return (
        "\n\n".join(
            [
                "# Commands",
                "Made by `python docs/make_commands.py`. `explore COMMAND --help` prints the same.",
                _table("command", rows),
                "## Exit codes",
                _table("code", codes),
            ]
        )
        + "\n"
    )


def _exit_codes() -> Iterator[tuple[str, str]]:
    """Yield each exit code once, with the first sentence of the most general error that has it."""
    seen = {errors.ExplorerError.exit_code: "Any other error that is stated in a sentence"}
    for error in vars(errors).values():
        if isinstance(error, type) and issubclass(error, errors.ExplorerError):
            sentence = (error.__doc__ or "").split(". ")[0].rstrip(".")
            seen.setdefault(error.exit_code, sentence)
    yield from ((str(code), sentence) for code, sentence in sorted(seen.items()))


def main() -> None:
    """Write the pages, and remove those of commands that are no more."""
    made = pages()
    for path in FOLDER.glob("*.md"):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
