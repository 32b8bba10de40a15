"""The tree of errors: each can be caught as what it is, and has a code of its own."""

from __future__ import annotations

import pytest

from penstock import exceptions
from penstock.domain.errors import PenstockError

ALL = [each for each in vars(exceptions).values() if isinstance(each, type) and issubclass(each, PenstockError)]
BUILTIN = {
    "DefinitionError": ValueError,
    "ReservedArgumentError": TypeError,
    "ParameterBindError": TypeError,
    "ParameterTypeError": ValueError,
    "SignatureMismatchError": TypeError,
    "MappingLengthMismatch": ValueError,
    "MappingMissingIterable": ValueError,
    "MissingContextError": RuntimeError,
    "FlowRunTimeoutError": TimeoutError,
    "TaskRunTimeoutError": TimeoutError,
    "HashError": ValueError,
    "ObjectNotFound": LookupError,
    "AmbiguousId": LookupError,
    "InvalidId": ValueError,
}


def test_every_error_has_a_code_of_its_own_and_says_what_it_is() -> None:
    assert len(ALL) > 25
    assert len({each.code for each in ALL}) == len(ALL)
    assert all(each.__doc__ for each in ALL)


@pytest.mark.parametrize("name", BUILTIN)
def test_an_error_can_be_caught_as_the_builtin_it_is_like(name: str) -> None:
    assert issubclass(getattr(exceptions, name), BUILTIN[name])
    assert issubclass(getattr(exceptions, name), PenstockError)
