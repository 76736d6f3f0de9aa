"""Upload: would the network know this image?"""

from ncviz.ui import shell, upload
from ncviz.ui.navigation import UPLOAD

shell.show(UPLOAD, upload.body)
