"""The campaign at real size: ``python -m experiments benchmark``.

Several processes share one device, and one file holds one run: what is done stands in ``docs/results/raw/benchmark/``,
and the page ``docs/results/benchmark.md`` is made from these files alone. Stopped or killed, the same command goes on.

On a GPU: ``python -m experiments benchmark --tier short --processes 8 --budget 10``.
"""
