"""eqssl_edu: self-supervised learning for group-equivariant networks, to be read, turned by hand and trained.

Import what you need from its module: ``from eqssl_edu.groups import cyclic``. The modules that need more than
torch (``steerable``: escnn; ``evaluation``: scikit-learn; ``training``: Lightning; ``widgets``: anywidget) are
loaded only when you import them.
"""

import os

# Torch's threads wait for each other by spinning. Where another program wants the cores as well, as a browser beside a
# notebook does, a small training then takes several times as long (benchmarks/threads.py). OpenMP reads this once, when
# torch is loaded: so the library comes first in every notebook. What the environment says already counts.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# The same for the BLAS of numpy and scipy, which fits the probes: a thread looks for work 2^4 times, not 2^26 times.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")

__version__ = "0.1.0"
