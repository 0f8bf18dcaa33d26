"""The decorator: a function that runs under a lock whose key is made of its arguments."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from ._errors import Invalid
from ._scope import not_awaitable

F = TypeVar("F", bound=Callable[..., Any])


def checked(template: str | None) -> list[str]:
    """The names of the arguments in the key."""
    import string

    if callable(template):
        raise Invalid("write @locked() with its parentheses, and the key between them")
    if template is None:
        return []
    if not isinstance(template, str):
        raise Invalid(f"a key is a text, not {template!r}")
    try:
        fields = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    except ValueError as error:
        message = f"the key {template!r} is no template: {error}; a brace itself is written twice"
        raise Invalid(message) from None
    return [field.partition(".")[0].partition("[")[0] for field in fields]


def key_of(function: Callable[..., Any], template: str | None) -> Callable[..., str]:
    """A function from the arguments of `function` to the key."""
    names = checked(template)
    # It takes a third of the package's time to import.
    import inspect

    name = getattr(function, "__qualname__", None)
    if template is None:
        if name is None:
            raise Invalid(f"{function!r} has no name; name the key")
        plain = f"{function.__module__}.{name}"
        return lambda *_args, **_kwargs: plain
    if not names:
        plain = template.format()
        return lambda *_args, **_kwargs: plain
    signature = inspect.signature(function)
    for argument in names:
        if argument not in signature.parameters:
            raise Invalid(
                f"the key {template!r} names {argument!r}, which is no argument of "
                f"{name or function!r}{signature}"
            )

    def key(*args: Any, **kwargs: Any) -> str:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return template.format(**bound.arguments)

    return key


def decorator(
    template: str | None,
    blocking: Callable[[str], Any],
    waiting: Callable[[str], Any],
) -> Callable[[F], F]:
    """`blocking` makes the lock for a function, `waiting` that for a coroutine function."""
    checked(template)

    def decorate(function: F) -> F:
        import inspect

        if isinstance(function, (classmethod, staticmethod)) or not callable(function):
            raise Invalid(
                f"{function!r} is no function; put @locked(...) below @property, @classmethod and "
                "@staticmethod"
            )
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise Invalid(
                f"{function.__qualname__} is a generator: its body runs after the call has "
                "returned; use `with` inside it"
            )
        key = key_of(function, template)
        # An object may be called like a coroutine function.
        called: Any = function
        while isinstance(called, functools.partial):
            called = called.func
        if any(map(inspect.iscoroutinefunction, (called, getattr(called, "__call__", None)))):
            # Its options are looked at before the first call.
            waiting("checked")

            @functools.wraps(function)
            async def under_lock(*args: Any, **kwargs: Any) -> Any:
                async with waiting(key(*args, **kwargs)):
                    return await function(*args, **kwargs)

            return under_lock  # type: ignore[return-value]
        blocking("checked")

        @functools.wraps(function)
        def locked(*args: Any, **kwargs: Any) -> Any:
            with blocking(key(*args, **kwargs)):
                return not_awaitable(function(*args, **kwargs), function)

        return locked  # type: ignore[return-value]

    return decorate
