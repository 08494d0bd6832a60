"""The suite runs the package's doctests; this module imports Keras when it is imported, and has none."""

collect_ignore = ["cnncost/export/layers.py"]
