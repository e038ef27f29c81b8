"""A package in open-webui's shape, small enough to be started for each test.

Its accounts follow one version's: where an API key's permission is looked up differs.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

FILES = {
    "__init__.py": """\
        import typer_double as typer

        app = typer.App()
        """,
    "env.py": """\
        import os
        from pathlib import Path

        VERSION = "0.0.0"
        DATA_DIR = Path(os.getenv("DATA_DIR", Path(__file__).parent / "data"))
        CUSTOM_API_KEY_HEADER = "x-api-key"
        """,
    "utils/auth.py": """\
        from types import SimpleNamespace

        from fastapi import BackgroundTasks, Depends, HTTPException, Request
        from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

        bearer_security = HTTPBearer(auto_error=False)
        USERS = {"ada-token": ("ada", "admin"), "new-token": ("new", "pending")}
        KEYS = {"sk-ada": "ada"}

        def decode_token(token):
            return {"id": USERS[token][0]} if token in USERS else None

        def get_current_user(
            request: Request,
            background_tasks: BackgroundTasks,
            auth_token: HTTPAuthorizationCredentials = Depends(bearer_security),
        ):
            token = auth_token.credentials if auth_token else request.cookies.get("token")
            if token is None and request.state.token:
                token = request.state.token.credentials
            if token is None:
                raise HTTPException(403, "Not authenticated")
            if token.startswith("sk-"):
                if not getattr(request.state, request.app.state.key_permission):
                    raise HTTPException(403, "API keys are not allowed")
                return SimpleNamespace(id=KEYS[token], role="admin")
            if token not in USERS:
                raise HTTPException(401, "no such user")
            id, role = USERS[token]
            return SimpleNamespace(id=id, role=role)

        def get_verified_user(user=Depends(get_current_user)):
            if user.role not in {"user", "admin"}:
                raise HTTPException(401, "not approved yet")
            return user

        def get_admin_user(user=Depends(get_current_user)):
            if user.role != "admin":
                raise HTTPException(401, "for administrators only")
            return user
        """,
    "main.py": """\
        import os
        from pathlib import Path
        from types import SimpleNamespace

        from fastapi import FastAPI
        from fastapi.staticfiles import StaticFiles

        HERE = Path(__file__).parent
        app = FastAPI()
        app.state.config = SimpleNamespace()
        app.state.key_permission = "enable_api_key"
        app.mount("/static", StaticFiles(directory=HERE / "static"))
        app.mount("/", StaticFiles(directory=HERE / "frontend", html=True))
        print("main ran, FROM_INIT_PY is", os.environ.get("FROM_INIT_PY"))
        """,
    "static/loader.js": "",
    "frontend/index.html": "<!doctype html><head></head>\n",
}


def write_package(site: Path, changes: Mapping[str, str] | None = None) -> Path:
    """Write the package into a folder of packages; return its own folder."""
    package = site / "open_webui"
    for name, text in {**FILES, **(changes or {})}.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return package
