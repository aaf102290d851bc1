"""Public names and version; each is imported when it is first used, so that this loads neither torch nor optuna."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from explorer.version import __version__

__all__ = [
    "ExplorerError", "ExportOptions", "RunOptions", "SelectedTrial", "Source", "Study", "__version__", "errors", "load",
    "run",
]  # fmt: skip

if TYPE_CHECKING:
    from explorer import errors
    from explorer.api import ExplorerError, ExportOptions, RunOptions, SelectedTrial, Source, Study, load, run
else:  # so that type checkers refuse every other name

    def __getattr__(name: str) -> Any:
        if name == "errors":
            import explorer.errors as errors

            return errors
        if name not in __all__:
            raise AttributeError(f"module 'explorer' has no attribute {name!r}")
        from explorer import api

        return getattr(api, name)


def __dir__() -> list[str]:
    return sorted(__all__)
