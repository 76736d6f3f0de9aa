"""Features in the plane: UMAP maps chained over epochs, and linear views that all epochs share."""

from ncviz.embedding.alignment import align
from ncviz.embedding.maps import first_map, next_map, umap_chain
from ncviz.embedding.placing import Place, place
from ncviz.embedding.quality import QUALITY_NEIGHBOURS, MapQuality, map_quality
from ncviz.embedding.views import LinearView, etf_view, pca_view

__all__ = [
    "QUALITY_NEIGHBOURS",
    "LinearView",
    "MapQuality",
    "Place",
    "align",
    "etf_view",
    "first_map",
    "map_quality",
    "next_map",
    "pca_view",
    "place",
    "umap_chain",
]
