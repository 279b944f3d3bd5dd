"""The parts of tools/build_site.py: notebooks that are run, the sources of Sphinx, and its settings."""
