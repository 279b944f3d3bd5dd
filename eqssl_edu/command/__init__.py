"""The same from the shell: ``python -m eqssl_edu pretrain``, ``evaluate``, ``export``."""

from eqssl_edu.command.plain import PlainEncoder
from eqssl_edu.command.runs import Run, open_run

__all__ = ["PlainEncoder", "Run", "open_run"]
