"""Wrappers that say how an argument is meant."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

T = TypeVar("T")


class _Annotation(Generic[T]):
    __slots__ = ("value",)

    def __init__(self, value: T) -> None:
        self.value = value

    def unwrap(self) -> T:
        return self.value

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.value == self.value

    def __hash__(self) -> int:
        return hash((type(self), id(self.value)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.value!r})"


class unmapped(_Annotation[T]):
    """In `.map(...)`: the same for each call, not spread. Example: `add.map([1, 2, 3], unmapped(10))`."""

    __slots__ = ()

    def __getitem__(self, _: Any) -> T:
        return self.value


class allow_failure(_Annotation[T]):
    """The task runs even when this upstream failed; it is then given the exception."""

    __slots__ = ()


class quote(_Annotation[T]):
    """The value is passed as it is: futures inside it are not looked for (for large structures)."""

    __slots__ = ()

    def unquote(self) -> T:
        return self.value
