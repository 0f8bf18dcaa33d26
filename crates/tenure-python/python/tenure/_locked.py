"""The decorator: a function that runs under a lock whose key is made of its arguments."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from ._errors import Invalid

F = TypeVar("F", bound=Callable[..., Any])


def key_of(function: Callable[..., Any], template: str | None) -> Callable[..., str]:
    """A function from the arguments of `function` to the key."""
    if template is None:
        name = f"{function.__module__}.{function.__qualname__}"
        return lambda *_args, **_kwargs: name
    # They take a third of the package's time to import.
    import inspect
    import string

    names = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    if not names:
        plain = template.format()
        return lambda *_args, **_kwargs: plain
    signature = inspect.signature(function)
    for name in names:
        first = name.partition(".")[0].partition("[")[0]
        if first not in signature.parameters:
            raise Invalid(
                f"the key {template!r} names {first!r}, which is no argument of "
                f"{function.__qualname__}{signature}"
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

    import inspect

    def decorate(function: F) -> F:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise Invalid(
                f"{function.__qualname__} is a generator: its body runs after the call has "
                "returned; use `with` inside it"
            )
        key = key_of(function, template)
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def under_lock(*args: Any, **kwargs: Any) -> Any:
                async with waiting(key(*args, **kwargs)):
                    return await function(*args, **kwargs)

            return under_lock  # type: ignore[return-value]

        @functools.wraps(function)
        def locked(*args: Any, **kwargs: Any) -> Any:
            with blocking(key(*args, **kwargs)):
                return function(*args, **kwargs)

        return locked  # type: ignore[return-value]

    return decorate
