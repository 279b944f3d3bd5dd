"""The run-time checker of annotations in the test suite: beartype, with int counting as float (PEP 484)."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
