"""Exceptions of this package, drawn as a tree, each with its exit code.

    ExplorerError                 1  internal fault
    ├── UsageError                2  a command line or an argument that cannot be obeyed
    │   ├── SpaceError            2  a search space that cannot be obeyed; knows file, line and column
    │   └── ModelError            2  the user's own network cannot be loaded
    ├── NothingFeasible           3  a study finished and no trial satisfies the constraints
    ├── VerificationFailed        4  a bundle does not prove itself
    ├── NotAvailable              5  data, device or runtime is missing
    │   ├── DataNotAvailable
    │   ├── DeviceNotAvailable
    │   └── RuntimeNotAvailable
    ├── StudyError                6  a study is locked, damaged or incompatible
    │   ├── StudyLocked
    │   ├── StudyDamaged
    │   └── StudyIncompatible
    └── Interrupted             130  stopped by a signal; resumable

A message says what was expected, what came, and what to do. `explorer.terminal` prints it once, and `exit_code` is what
the command exits with.
"""


class ExplorerError(Exception):
    """Something that this package can say in one sentence."""

    exit_code = 1


class UsageError(ExplorerError):
    """A command line or an argument that cannot be obeyed."""

    exit_code = 2


class SpaceError(UsageError):
    """A search space that cannot be obeyed. The message begins with `file:line:column`."""


class ModelError(UsageError):
    """The user's own network cannot be imported, called or understood."""


class NothingFeasible(ExplorerError):
    """A study finished and no trial satisfies the constraints."""

    exit_code = 3


class VerificationFailed(ExplorerError):
    """A bundle does not prove itself."""

    exit_code = 4


class NotAvailable(ExplorerError):
    """Data, device or runtime is not available."""

    exit_code = 5


class DataNotAvailable(NotAvailable):
    """The data set is at none of the places that were looked at."""


class DeviceNotAvailable(NotAvailable):
    """The device, or one of its sensors, is not available."""


class RuntimeNotAvailable(NotAvailable):
    """A runtime that the search space names is not installed."""


class StudyError(ExplorerError):
    """A study is locked, damaged or incompatible."""

    exit_code = 6


class StudyLocked(StudyError):
    """Another coordinator holds the study."""


class StudyDamaged(StudyError):
    """A file of the study does not read."""


class StudyIncompatible(StudyError):
    """The study was made from another search space, other data or other software."""


class Interrupted(ExplorerError):
    """Stopped by a signal; starting again resumes."""

    exit_code = 130
