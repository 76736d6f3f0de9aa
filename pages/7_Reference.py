"""Reference: what does this number mean?"""

from ncviz.ui import reference, shell
from ncviz.ui.navigation import REFERENCE

shell.show_without_run(REFERENCE, reference.body)
