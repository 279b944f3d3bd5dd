"""eqssl_edu: self-supervised learning for group-equivariant networks, to be read, turned by hand and trained.

Import what you need from its module: ``from eqssl_edu.groups import cyclic``. The modules that need more than
torch (``steerable``: escnn; ``evaluation``: scikit-learn; ``training``: Lightning; ``widgets``: anywidget) are
loaded only when you import them.
"""

__version__ = "0.1.0"
