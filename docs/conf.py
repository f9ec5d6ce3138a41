"""The documentation: `python -m sphinx -W -b html docs docs/_build/html`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "nodegrad"
author = "The nodegrad developers"
copyright = author
extensions = ["myst_parser", "directives"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "nodegrad"
html_static_path = ["_static"]
html_css_files = ["made.css"]
html_math_renderer = "mathml"
html_show_sphinx = False
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
