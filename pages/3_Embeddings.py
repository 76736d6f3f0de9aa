"""Embeddings: what does the network see?"""

from ncviz.ui import embeddings, shell
from ncviz.ui.navigation import EMBEDDINGS

shell.show(EMBEDDINGS, embeddings.body)
