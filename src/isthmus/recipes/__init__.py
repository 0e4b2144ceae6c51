"""A recipe: data + corruption + model + loss + schedule, and nothing else that matters to the result."""

from isthmus.recipes.presets import RECIPES, base_fields, find_recipe
from isthmus.recipes.recipe import Recipe

__all__ = ["RECIPES", "Recipe", "base_fields", "find_recipe"]
