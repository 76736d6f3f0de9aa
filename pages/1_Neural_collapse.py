"""Neural collapse: how collapsed is this network at this epoch?"""

from ncviz.ui import neural_collapse, shell
from ncviz.ui.navigation import NEURAL_COLLAPSE

shell.show(NEURAL_COLLAPSE, neural_collapse.body)
