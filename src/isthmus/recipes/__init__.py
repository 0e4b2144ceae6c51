"""A recipe: data + corruption + model + loss + schedule, and nothing else that matters to the result."""

from isthmus.recipes.recipe import Recipe

__all__ = ["Recipe"]
