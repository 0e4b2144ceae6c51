"""How the documentation is built: `make docs`, which fails at the first warning."""

from importlib.metadata import version as installed
from typing import Any

from docutils.nodes import SkipNode
from latex2mathml.converter import convert

project = "isthmus"
author = "the isthmus project"
copyright = "the isthmus project, Apache-2.0"  # noqa: A001  # Sphinx's name
version = release = installed("isthmus")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]

nb_execution_mode = "off"  # docs/run_notebooks.py executes them; reading needs no training
nb_merge_streams = True

html_math_renderer = "mathml"  # browsers draw it themselves: no script, and nothing is fetched

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_google_docstring = True

html_theme = "furo"
html_title = "isthmus"
html_favicon = "../src/isthmus/web/page/icon.svg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b6e69", "color-brand-content": "#0b6e69"},
    "dark_css_variables": {"color-brand-primary": "#5cc7bd", "color-brand-content": "#5cc7bd"},
}


def setup(app: Any) -> None:
    """Formulas become MathML when the pages are built."""

    def drawn(display: str) -> Any:
        def visit(translator: Any, node: Any) -> None:
            translator.body.append(convert(node.astext(), display=display))
            raise SkipNode

        return visit

    app.add_html_math_renderer("mathml", (drawn("inline"), None), (drawn("block"), None))
