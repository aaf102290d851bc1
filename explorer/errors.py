"""Exceptions of this package, as a tree with exit codes.

    ExplorerError                 1  internal fault
    ├── UsageError                2  invalid command line or argument
    │   ├── SpaceError            2  invalid search space; has file, line and column
    │   └── ModelError            2  the user's own network cannot be loaded
    ├── NothingFeasible           3  a study finished and no trial satisfies the constraints
    ├── VariantFailed             1  a variant's network is not as requested; has the trial's failure kind
    ├── VerificationFailed        4  a bundle fails its verification
    ├── NotAvailable              5  data, device or runtime is missing
    │   ├── DataNotAvailable
    │   ├── DeviceNotAvailable
    │   └── RuntimeNotAvailable
    ├── StudyError                6  a study is locked, damaged or incompatible
    │   ├── StudyLocked
    │   ├── StudyDamaged
    │   └── StudyIncompatible
    └── Interrupted             130  stopped by a signal; resumable

A message states what was expected, what came, and what to do. `explorer.system.terminal` prints it once, and the
command exits with `exit_code`.
"""


class ExplorerError(Exception):
    """An error with a one-sentence message for the user."""

    exit_code = 1


class UsageError(ExplorerError):
    """An invalid command line or argument."""

    exit_code = 2


class SpaceError(UsageError):
    """An invalid search space. The message begins with `file:line:column`."""


class ModelError(UsageError):
    """The user's own network cannot be imported, called or understood."""


class NothingFeasible(ExplorerError):
    """A study finished and no trial satisfies the constraints."""

    exit_code = 3


class VariantFailed(ExplorerError):
    """A variant's network cannot be made, or is not as requested. `kind` is the trial's failure kind."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


class VerificationFailed(ExplorerError):
    """A bundle fails its verification."""

    exit_code = 4


class NotAvailable(ExplorerError):
    """Data, device or runtime is not available."""

    exit_code = 5


class DataNotAvailable(NotAvailable):
    """The data set is at none of the searched places."""


class DeviceNotAvailable(NotAvailable):
    """The device, or one of its sensors, is not available."""


class RuntimeNotAvailable(NotAvailable):
    """A runtime that the search space names is not installed."""


class StudyError(ExplorerError):
    """A study is locked, damaged or incompatible."""

    exit_code = 6


class StudyLocked(StudyError):
    """Another coordinator has locked the study."""


class StudyDamaged(StudyError):
    """A file of the study cannot be read."""


class StudyIncompatible(StudyError):
    """The study was made from another search space, other data or other software."""


class Interrupted(ExplorerError):
    """Stopped by a signal; starting again resumes."""

    exit_code = 130
