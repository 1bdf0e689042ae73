"""Everything that can be known to fail is found here, before anything moves."""

from smartscope.preflight.check import check
from smartscope.preflight.checked import Checked

__all__ = ["Checked", "check"]
