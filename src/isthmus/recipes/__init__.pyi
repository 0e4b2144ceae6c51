from .presets import PRESETS as PRESETS
from .presets import base_fields as base_fields
from .presets import find_recipe as find_recipe
from .recipe import Recipe as Recipe
from .tasks import Task as Task
from .tasks import register_task as register_task

__all__ = ["PRESETS", "Recipe", "Task", "base_fields", "find_recipe", "register_task"]
