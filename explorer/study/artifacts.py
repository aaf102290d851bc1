"""Artifacts: those in a study's folder, which may come from somebody else and are looked at before they are loaded."""

from __future__ import annotations

from pathlib import Path
from typing import final

from explorer.runtimes.artifact import Artifact
from explorer.runtimes.safety import unsafe_segments


@final
class Artifacts:
    """The artifacts in `folder`. What this process built is known already, and everything else is looked at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._trusted: set[str] = set()

    def trust(self, artifact: Artifact) -> None:
        """Take an artifact that was built just now for what it says that it is."""
        self._trusted.add(artifact.folder.name)

    def stored(self, name: str) -> Artifact | str:
        """The artifact of that name, or why it is not loaded."""
        folder = self.folder / name
        try:
            artifact = Artifact.read(folder)
            if name not in self._trusted:
                if damaged := artifact.damaged_files():
                    return f"{', '.join(damaged)} in {folder} changed since it was made"
                if unsafe := unsafe_segments(folder, artifact.facts):
                    return f"{unsafe[0]}: nothing of {folder} is loaded"
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            return f"the artifact {name} does not read ({type(error).__name__}: {error})"
        self._trusted.add(name)
        return artifact
