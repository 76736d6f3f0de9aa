"""Training: recipes and the loop that carries them out."""

from ncviz.training.loop import train
from ncviz.training.recipes import RECIPES, Recipe, recipe, saved_epochs

__all__ = ["RECIPES", "Recipe", "recipe", "saved_epochs", "train"]
