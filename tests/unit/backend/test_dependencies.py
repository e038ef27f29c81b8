"""FastAPI's dependencies, called without a route: the same values, or a refusal beforehand."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from typing import Annotated, Any

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.testclient import TestClient
from host_double import BOUND, run, scope_of
from starlette.requests import HTTPConnection

from cczoo_backend.dependencies import Dependency, UnknownParameter

bearer = HTTPBearer(auto_error=False)


def called(function: Any, **headers: str) -> Any:
    """What a dependency gives for a request."""
    values: list[Any] = []
    dependency = Dependency(function)

    async def scenario() -> None:
        values.append(await dependency(Request(scope_of(**headers))))

    run(scenario)
    return values[0]


# As open-webui 0.5.20 and 0.12.4 have them.


def find_user(
    request: Request,
    background_tasks: BackgroundTasks,
    auth_token: HTTPAuthorizationCredentials = Depends(bearer),  # noqa: B008
) -> str:
    if auth_token is None:
        raise HTTPException(403, "Not authenticated")
    background_tasks.add_task(pytest.fail, "left undone")
    return f"{auth_token.credentials} {request.headers['host']} {threading.current_thread().name}"


async def find_user_async(
    request: Request,
    response: Response,
    background_tasks: BackgroundTasks,
    auth_token: HTTPAuthorizationCredentials = Depends(bearer),  # noqa: B008
) -> str:
    response.delete_cookie("token")
    return find_user(request, background_tasks, auth_token)


@pytest.mark.parametrize(("find", "thread"), [(find_user, "tee-user"), (find_user_async, "Main")])
def test_a_chain_gives_what_its_functions_find(find: Any, thread: str) -> None:
    def verified(user: str = Depends(find)) -> tuple[str, str]:
        return user, threading.current_thread().name

    headers = {"authorization": "Bearer secret", "host": "td"}
    user, judged_in = called(verified, **headers)
    assert user.startswith(f"secret td {thread}")
    assert judged_in == threading.main_thread().name  # it looks at what others found, and no more
    with pytest.raises(HTTPException, match="Not authenticated"):
        called(verified, host="td")


def test_it_is_what_a_route_would_have_found() -> None:
    def verified(user: str = Depends(find_user_async)) -> str:
        return user.rsplit(" ", 1)[0]

    app = FastAPI()
    app.get("/")(lambda user=Depends(verified): user)  # noqa: B008
    headers = {"authorization": "Bearer secret", "host": "td"}
    try:
        by_route = TestClient(app).get("/", headers=headers).json()
    except pytest.fail.Exception:  # the task that a route does run
        by_route = "secret td"
    assert called(verified, **headers) == by_route


async def name_of_the_host(connection: HTTPConnection) -> str:
    return connection.headers["host"]


def greeting(name: Annotated[str, Depends(name_of_the_host)]) -> str:
    return f"hello {name}"


def test_annotated_dependencies_are_dependencies() -> None:
    assert called(greeting, host="td") == "hello td"


def test_chains_that_come_together_are_one_piece_of_work_and_end_each_by_itself() -> None:
    gate = threading.Event()
    threads: list[str] = []

    def find(request: Request) -> str:
        threads.append(threading.current_thread().name)
        assert gate.wait(BOUND)
        if request.headers["host"] == "bad":
            raise HTTPException(401, "no such user")
        return request.headers["host"]

    dependency = Dependency(find)

    async def scenario() -> None:
        asked = [
            asyncio.create_task(dependency(Request(scope_of(host=host))))
            for host in ("a", "b", "bad", "c")
        ]
        await asyncio.sleep(0)
        gate.set()
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert [str(value) for value in found] == ["a", "b", "401: no such user", "c"]

    run(scenario)
    assert len(threads) == 4
    assert len(set(threads)) == 1


def test_a_thread_keeps_the_requests_context() -> None:
    where: ContextVar[str] = ContextVar("where")

    async def scene(request: Request) -> None:
        where.set("inside")

    def look(request: Request, _: None = Depends(scene)) -> str:
        return where.get()

    assert called(look) == "inside"


def cleans_up() -> Iterator[str]:
    yield "session"


async def cleans_up_later() -> AsyncIterator[str]:
    yield "session"


def asks_for_a_header(user_agent: Annotated[str, Header()]) -> str:
    return user_agent


def asks_for_a_query(page: int = 1) -> int:
    return page


def asks_for_anything(**anything: object) -> None: ...


def asks_for_nothing_known(session) -> None: ...  # type: ignore[no-untyped-def]


@pytest.mark.parametrize(
    "function",
    [
        cleans_up,
        cleans_up_later,
        asks_for_a_header,
        asks_for_a_query,
        asks_for_anything,
        asks_for_nothing_known,
    ],
)
def test_what_cannot_be_given_is_refused_before_anybody_asks(function: Any) -> None:
    def behind(value: Any = Depends(function)) -> Any:  # noqa: B008
        return value

    for refused in (function, behind):
        with pytest.raises(UnknownParameter):
            Dependency(refused)
