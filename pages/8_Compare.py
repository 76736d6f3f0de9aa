"""Compare: what changed between these two?"""

from ncviz.ui import compare, shell
from ncviz.ui.navigation import COMPARE

shell.show(COMPARE, compare.body)
