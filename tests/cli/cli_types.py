"""Types that the tests of the command line share."""

from collections.abc import Callable
from typing import Any

Shell = Callable[..., Any]
