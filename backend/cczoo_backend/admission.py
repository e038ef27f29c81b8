"""Who may ask for evidence, and how often."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from limits import parse
from starlette.exceptions import HTTPException
from starlette.requests import Request

from .errors import TeeError
from .host import Host, User
from .rate_limits import RateLimiter, address_key
from .settings import Settings
from .stock import TOKEN_COOKIE

log = logging.getLogger(__name__)

HOST_SECONDS = 30.0
# Not one of the settings: a wrong one has to be put right all the same.
ADMINISTRATION_LIMIT = parse("120/minute")


class Admission:
    """Lets in users whom the host verifies, and everybody where quotes are public or bind a key.

    What is asked for (``what``, such as "quote") is counted each by itself. The host has
    ``patience`` seconds to find out who asks.
    """

    def __init__(
        self,
        host: Host,
        settings: Callable[[], Settings],
        limiter: RateLimiter | None = None,
        *,
        patience: float = HOST_SECONDS,
    ) -> None:
        self._host = host
        self._patience = patience
        self._settings = settings
        self._limiter = limiter or RateLimiter()

    async def user(self, request: Request) -> User:
        """Return the verified user who asks, uncounted; raise HTTPException for others."""
        return await self._found(self._host.verified_user(request))

    async def administrator(self, request: Request) -> User:
        """Return the administrator who asks by a token; raise HTTPException for others.

        A cookie is not enough: it goes along by itself, also with what others have a browser ask.
        """
        scheme, _space, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise HTTPException(403, "Not authenticated")
        user = await self._found(self._host.administrator(request))
        self._limiter.count(ADMINISTRATION_LIMIT, "administration", user.id)
        return user

    async def _found(self, looking: Awaitable[User]) -> User:
        try:
            async with asyncio.timeout(self._patience):
                return await looking
        except TimeoutError:
            detail = "The server did not find out in time who asks: its database may be busy."
            raise TeeError(504, "timed-out", detail) from None

    async def has_account(self, request: Request) -> bool:
        """Whether a verified user asks; one who cannot be found out counts as none."""
        if "authorization" not in request.headers and TOKEN_COOKIE not in request.cookies:
            return False
        try:
            await self.user(request)
        except (HTTPException, TeeError):
            return False
        except Exception as error:
            log.warning("who asks cannot be found out: %r", error)
            return False
        return True

    async def asker(self, request: Request, what: str) -> None:
        """Let in and count who may ask for quotes, and for what it takes to verify one."""
        settings = self._settings()
        await self._let_in(request, what, everybody=settings.quote_public or settings.seals)

    async def page(self, request: Request, what: str) -> None:
        """Let in and count who may ask for what else a page needs to attest.

        Where requests are sealed, a page does that before it sends anybody's token, or a password.
        """
        await self._let_in(request, what, everybody=self._settings().seals)

    async def _let_in(self, request: Request, what: str, *, everybody: bool) -> None:
        if not everybody:
            self.count_user((await self.user(request)).id, what)
        elif (user_id := self._claimed_id(request)) is not None:
            self.count_user(user_id, what)
        else:
            self.count_address(request, what)

    def count_user(self, user_id: str, what: str) -> None:
        """Count one request of a user; raise TeeError (429) when there were too many."""
        self._limiter.count(self._settings().quote_limit_user, what, "user", user_id)

    def count_address(self, request: Request, what: str) -> None:
        """Count one request of a client without an account, by its address and over all."""
        host = request.client.host if request.client else None
        settings = self._settings()
        # Once the limit over all is used up, no more addresses are remembered; and what one
        # address was refused takes nothing of that limit from the others.
        self._limiter.check(settings.quote_limit_public, what, "public")
        self._limiter.count(settings.quote_limit_address, what, "address", address_key(host))
        self._limiter.count(settings.quote_limit_public, what, "public")

    def _claimed_id(self, request: Request) -> str | None:
        scheme, _space, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            token = request.cookies.get(TOKEN_COOKIE, "")
        claims = self._host.claims_of(token.strip()) if token else None
        return str(claims["id"]) if claims and "id" in claims else None
