"""Writes rows by a real SQLAlchemy, in each way that open-webui does; prints ``noticed``.

Run by another Python, that of an open-webui: the tests' own has no SQLAlchemy.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from sqlalchemy import Boolean, Column, String, Text, create_engine, delete, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import declarative_base, sessionmaker

from cczoo_backend.openwebui_workload import OpenWebUIWorkload

Base: Any = declarative_base()


class Function(Base):
    __tablename__ = "function"
    id = Column(String, primary_key=True)
    type = Column(Text)
    content = Column(Text)
    is_active = Column(Boolean)
    is_global = Column(Boolean)


class Tool(Base):
    __tablename__ = "tool"
    id = Column(String, primary_key=True)
    content = Column(Text)


class Chat(Base):
    __tablename__ = "chat"
    id = Column(String, primary_key=True)


class Workload:
    """The workload, and whether it noticed what was done since it was asked last."""

    def __init__(self) -> None:
        app = SimpleNamespace(state=SimpleNamespace(MODELS=None, config=SimpleNamespace()))
        self.real = OpenWebUIWorkload(app)  # type: ignore[arg-type]
        self.mark = self.real.mark()

    def noticed(self) -> bool:
        before, self.mark = self.mark, self.real.mark()
        return before is not self.mark


def in_sync(workload: Workload, make: sessionmaker[Any]) -> None:
    with make() as session:
        session.add(Function(id="f", type="pipe", content="1", is_active=True))
        session.flush()
        assert not workload.noticed(), "before it is there"
        session.commit()
        assert workload.noticed(), "a new row"
        session.query(Function).filter_by(id="f").update({"content": "2"})
        session.commit()
        assert workload.noticed(), "an update of many"
        session.get(Function, "f").content = "3"
        session.commit()
        assert workload.noticed(), "an update of one"
        session.execute(text("UPDATE function SET content = '4'"))
        session.commit()
        assert workload.noticed(), "SQL"
        session.query(Function).delete()
        session.commit()
        assert workload.noticed(), "a deletion"
        session.add(Chat(id="c"))
        session.commit()
        session.execute(update(Chat).values(id="d"))
        session.commit()
        session.execute(select(Function)).all()
        session.commit()
        assert not workload.noticed(), "of other tables"
        session.add(Tool(id="t", content="y"))
        session.rollback()
        assert not workload.noticed(), "what was taken back"


async def in_async(workload: Workload, make: async_sessionmaker[AsyncSession]) -> None:
    async with make() as session:
        session.add(Tool(id="t", content="y"))
        await session.commit()
        assert workload.noticed(), "a new row, async"
        await session.execute(update(Tool).values(content="z"))
        await session.commit()
        assert workload.noticed(), "an update, async"
        await session.execute(delete(Tool).where(Tool.id == "none"))
        await session.commit()
        assert workload.noticed(), "a deletion, async"
        session.add(Function(id="f", type="pipe", content="1", is_active=True, is_global=False))
        await session.commit()
    readings = await workload.real._read_code()
    assert readings[0][0]["content"] == "1", readings
    assert readings[1] == [{"id": "t", "content": "z"}], readings


def stand_in(name: str, **members: Any) -> None:
    module = ModuleType(name)
    vars(module).update(members)
    sys.modules[name] = module


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.db"
        engine = create_engine(f"sqlite:///{path}")
        Base.metadata.create_all(engine)
        make = sessionmaker(bind=engine, expire_on_commit=False)
        for name in ("open_webui", "open_webui.config", "open_webui.env"):
            stand_in(name)
        stand_in("open_webui.models.functions", Function=Function)
        stand_in("open_webui.models.tools", Tool=Tool)
        stand_in("open_webui.internal.db", get_db=contextlib.contextmanager(lambda: iter([make()])))
        workload = Workload()
        in_sync(workload, make)
        assert asyncio.run(workload.real._read_code()) == ([], [])
        with contextlib.suppress(ModuleNotFoundError):  # older ones have no asynchronous way
            make_async = async_sessionmaker(create_async_engine(f"sqlite+aiosqlite:///{path}"))
            stand_in("open_webui.internal.db", get_async_db=make_async)
            asyncio.run(in_async(workload, make_async))
    print("noticed")


if __name__ == "__main__":
    main()
