"""Recipes: what to train and how."""

from isthmus.recipes.presets import PRESETS, base_fields, find_recipe
from isthmus.recipes.recipe import Recipe
from isthmus.recipes.tasks import Task, register_task

__all__ = ["PRESETS", "Recipe", "Task", "base_fields", "find_recipe", "register_task"]
