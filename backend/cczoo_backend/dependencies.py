"""Calls a FastAPI dependency outside of a FastAPI route.

A route would put each plain function of a chain into the thread pool and run the background tasks
that the chain leaves behind. Here a chain costs one thread at most, and its tasks are left undone.
"""

from __future__ import annotations

import contextvars
import inspect
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Annotated, Any, get_args, get_origin

from fastapi import BackgroundTasks, Request, Response
from fastapi.params import Depends
from starlette.requests import HTTPConnection

from .batch_worker import BatchWorker

Source = Callable[[Request], Awaitable[Any]]


class UnknownParameter(TypeError):  # noqa: N818 - named for the state
    """A dependency wants something that this module has no way to give."""


class Dependency:
    """A dependency with those that it depends on, looked at once and then called for requests."""

    def __init__(self, function: Callable[..., Any]) -> None:
        """Raise UnknownParameter where the function, or one behind it, cannot be called here."""
        code = function if inspect.isroutine(function) else type(function).__call__
        if inspect.isgeneratorfunction(code) or inspect.isasyncgenfunction(code):
            raise UnknownParameter(f"{function!r} cleans up after itself")
        self._function = function
        self._is_async = inspect.iscoroutinefunction(code)
        parameters = inspect.signature(function, eval_str=True).parameters
        self._sources = {name: _source(parameter) for name, parameter in parameters.items()}
        # What only looks at what others found has nothing to wait for.
        self._blocks = not self._is_async and not all(
            isinstance(source, Dependency) for source in self._sources.values()
        )

    async def __call__(self, request: Request) -> Any:
        """Return the dependency's value for a request; what it raises comes through."""
        arguments = {name: await source(request) for name, source in self._sources.items()}
        if self._is_async:
            return await self._function(**arguments)
        if self._blocks:
            return await _in_thread(partial(self._function, **arguments))
        return self._function(**arguments)


# One thread, and many calls at a time: handed over one by one, they and the event loop would wait
# for each other's interpreter lock for half as long again as the calls take.


async def _in_thread(call: Callable[[], Any]) -> Any:
    in_context = partial(contextvars.copy_context().run, call)
    value, error = await _worker.made_of(in_context)
    if error is not None:
        raise error
    return value


def _outcomes(calls: Sequence[Callable[[], Any]]) -> list[tuple[Any, Exception | None]]:
    return [_outcome(call) for call in calls]


def _outcome(call: Callable[[], Any]) -> tuple[Any, Exception | None]:
    try:
        return call(), None
    except Exception as error:
        return None, error


_worker = BatchWorker(_outcomes, thread="tee-user")


def _source(parameter: inspect.Parameter) -> Source:
    annotation, marks = parameter.annotation, (parameter.default,)
    if get_origin(annotation) is Annotated:
        annotation, *metadata = get_args(annotation)
        marks = (*metadata, *marks)
    for mark in marks:
        if isinstance(mark, Depends) and mark.dependency is not None:
            return Dependency(mark.dependency)
    if isinstance(annotation, type):
        if annotation in (Request, HTTPConnection):
            return _the_request
        if issubclass(annotation, Response):
            return _a_response
        if issubclass(annotation, BackgroundTasks):
            return _background_tasks
    raise UnknownParameter(f"no way to give {parameter}")


async def _the_request(request: Request) -> Request:
    return request


async def _a_response(_request: Request) -> Response:
    return Response()


async def _background_tasks(_request: Request) -> BackgroundTasks:
    return BackgroundTasks()
