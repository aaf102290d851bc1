"""PatientStream: a text stream that falls silent, instead of failing, when its reader has gone."""

from __future__ import annotations

from typing import TextIO, final


@final
class PatientStream:
    """Wraps the stream that people read. A study must not end because somebody closed a pipe or a terminal.

    What the encoding lacks is written as `?`. `is_open` is False once a write has failed.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.is_open = True

    @property
    def encoding(self) -> str:
        """The encoding of the wrapped stream; UTF-8 for one that does not encode."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write, or do nothing once the reader has gone."""
        if self.is_open:
            try:
                self._stream.write(text.encode(self.encoding, "replace").decode(self.encoding))
            except (OSError, ValueError):
                # A closed pipe, a terminal that hung up, a stream that was closed: nobody reads any more.
                self.is_open = False
        return len(text)

    def flush(self) -> None:
        """Flush, or do nothing once the reader has gone."""
        if self.is_open:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                # As in `write`.
                self.is_open = False

    def isatty(self) -> bool:
        """Whether a terminal is behind it."""
        return self.is_open and self._stream.isatty()
