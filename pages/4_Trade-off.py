"""Trade-off: does more collapse mean better detection and worse transfer, here?"""

from ncviz.ui import shell, trade_off
from ncviz.ui.navigation import TRADE_OFF

shell.show(TRADE_OFF, trade_off.body)
