"""OOD scores: how well does this score tell known from unknown, and where would I cut?"""

from ncviz.ui import ood_scores, shell
from ncviz.ui.navigation import OOD_SCORES

shell.show(OOD_SCORES, ood_scores.body)
