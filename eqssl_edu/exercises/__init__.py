"""Checks of the exercises: ``check(name, answer)`` gives a verdict with a reason and a hint."""

from eqssl_edu.exercises.verdict import Verdict, check

__all__ = ["Verdict", "check"]
