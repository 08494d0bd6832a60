"""The suite runs the package's doctests; these modules import a framework when they are imported, and have none."""

collect_ignore = ["cnncost/export/layers.py"]
collect_ignore_glob = ["cnncost/measure/worker/on_*.py"]
