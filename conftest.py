"""The suite runs the package's doctests; these modules import a framework when they are imported, and have none.

Figures and real runs are those of TensorFlow with oneDNN, wherever the suite runs: on processors without units for
neural networks TensorFlow leaves it off unless told. What it does then has tests that say so.
"""

import os

os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"

collect_ignore = ["cnncost/export/layers.py"]
collect_ignore_glob = ["cnncost/measure/worker/on_*.py"]
