"""Overview: what is here, and what should I look at first?"""

from ncviz.ui import overview, shell
from ncviz.ui.navigation import OVERVIEW

shell.show(OVERVIEW, overview.body)
