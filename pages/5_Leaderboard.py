"""Leaderboard: which detector for which kind of unknown?"""

from ncviz.ui import leaderboard, shell
from ncviz.ui.navigation import LEADERBOARD

shell.show(LEADERBOARD, leaderboard.body)
