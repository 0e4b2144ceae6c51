"""How the documentation is built: `make docs`, which fails at the first warning."""

from importlib.metadata import version as installed

project = "isthmus"
author = "the isthmus project"
copyright = "the isthmus project, Apache-2.0"  # noqa: A001  # Sphinx's name
version = release = installed("isthmus")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]

nb_execution_mode = "force"  # a page whose figures are old would lie
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_output_stderr = "remove"
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_google_docstring = True

html_theme = "furo"
html_title = "isthmus"
html_favicon = "../src/isthmus/web/page/icon.svg"
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b6e69", "color-brand-content": "#0b6e69"},
    "dark_css_variables": {"color-brand-primary": "#5cc7bd", "color-brand-content": "#5cc7bd"},
}
