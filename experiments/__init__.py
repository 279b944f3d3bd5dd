"""Experiments that rerun the tables of the course: ``python -m experiments NAME``.

Each writes its runs, one by one, to ``docs/results/raw/NAME.json``. The page ``docs/results/NAME.md`` and its
figures are made from that file alone, so every number in a page can be recomputed.
"""
