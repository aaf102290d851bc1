import sys
from pathlib import Path

import pytest

from explorer.space.values import Vocabulary
from explorer.study import vocabulary as names

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests/fakes.py is shared by several folders of tests


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    """The names that a search space may use here."""
    return names.vocabulary()
