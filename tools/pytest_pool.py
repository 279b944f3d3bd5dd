"""A pytest plugin: one pool of processes for every test. Notebooks and browser tests are lifted first, each file
whole in one process, since it has a kernel or a browser of its own; the small tests fill the gaps.
"""

import pytest

WHOLE = ("notebooks/", "tests/browser/")
APART = "tests/notebooks/test_seeds.py"  # a whole notebook for each case


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Rocks before sand, so that no process waits for another at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(WHOLE))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log):
    """Cases of one small test stay together: they share what its fixtures and caches hold."""
    from xdist.scheduler import LoadScopeScheduling

    class Pool(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            if nodeid.startswith(WHOLE):
                return nodeid.split("::")[0]
            return nodeid if nodeid.startswith(APART) else nodeid.split("[")[0]

    config.option.loadscopereorder = False
    return Pool(config, log)
