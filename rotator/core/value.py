"""Frozen values: what a class body annotates becomes its fields, and they never change.

Refuses: validation, conversion, inheritance of fields. It exists because ``dataclasses`` alone costs half as much again as
a whole run of Python to import, and ``rotator next`` has to start about as fast as Python does.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self, dataclass_transform
else:

    def dataclass_transform(**_options: object) -> object:
        """What type checkers read, and nobody else."""
        return lambda cls: cls


def _methods(name: str, fields: tuple[str, ...], defaults: dict[str, Any]) -> tuple[Any, Any]:
    """A constructor, and what gives all fields as a tuple; written out, since everything else is made of these two."""
    parameters = "".join(f", {f}=_default_{f}" if f in defaults else f", {f}" for f in fields)
    body = "".join(f"\n    _set_{f}(self, {f})" for f in fields)
    shown = "".join(f"self.{f}, " for f in fields)
    names: dict[str, Any] = {f"_default_{f}": value for f, value in defaults.items()}
    text = f"def __init__(self{parameters}):{body}\ndef _fields(self):\n    return ({shown})"
    exec(text, names)  # noqa: S102  only names from a class body get in
    init, every = names["__init__"], names["_fields"]
    init.__qualname__, every.__qualname__ = f"{name}.__init__", f"{name}._fields"
    return init, every


class _Frozen(type):
    """Turns the annotations of a class body into slots and a constructor that takes them in that order."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> Any:
        fields = tuple(namespace.get("__annotations__", ()))
        defaults = {f: namespace.pop(f) for f in fields if f in namespace}
        namespace["__slots__"] = fields
        namespace["__match_args__"] = fields
        cls = super().__new__(mcs, name, bases, namespace)
        if fields:
            init, every = _methods(name, fields, defaults)
            init.__globals__.update({f"_set_{f}": cls.__dict__[f].__set__ for f in fields})
            cls.__init__ = init  # type: ignore[misc]
            cls._fields = every  # type: ignore[attr-defined]
        return cls


@dataclass_transform(frozen_default=True)
class Value(metaclass=_Frozen):
    """A frozen record, equal by class and fields; ``repr`` shows every field.

    Raises: AttributeError when a field is assigned or deleted.

    >>> class Point(Value):
    ...     x: int
    ...     y: int = 0
    >>> Point(1)
    Point(x=1, y=0)
    >>> Point(1).replace(y=2) == Point(1, 2)
    True
    """

    if TYPE_CHECKING:
        __match_args__: tuple[str, ...]

    def replace(self, **changes: Any) -> Self:
        """The same value with some fields changed; an unknown name is a TypeError."""
        values = dict(zip(self.__match_args__, self._fields(), strict=True))
        values.update(changes)
        return type(self)(**values)

    def __setattr__(self, name: str, _value: object) -> None:
        message = f"{type(self).__name__} is frozen: {name} cannot be set, use replace()"
        raise AttributeError(message)

    def __delattr__(self, name: str) -> None:
        message = f"{type(self).__name__} is frozen: {name} cannot be deleted"
        raise AttributeError(message)

    def _fields(self) -> tuple[Any, ...]:
        return ()

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(self) is not type(other) or not isinstance(other, Value):
            return NotImplemented
        return self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash((type(self), self._fields()))

    def __repr__(self) -> str:
        shown = ", ".join(f"{f}={getattr(self, f)!r}" for f in self.__match_args__)
        return f"{type(self).__name__}({shown})"

    def __reduce__(self) -> tuple[type[Self], tuple[Any, ...]]:
        return type(self), self._fields()
