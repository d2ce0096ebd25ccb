"""A store with a finished study of a scripted pair, and everything in it that must survive a journey."""

import sqlite3
from contextlib import closing

from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.studies.plan import Item, Plan, grid
from mi_explorer.studies.runner import Runner
from mi_explorer.studies.store.store import Store
from tests.fakes import ScriptedEngine, scripted_bench

ITEMS = tuple(Item("sums", f"q{i}", f"What is {i} + 4?", str(i + 4), family="add", level=i) for i in range(4))


def filled(path, lams=(0, 0.5, 1), samples=2, items=ITEMS, name="s", script=None, shard=(1, 1)):
    """A store with one finished study of 24 samples."""
    store = Store(path)
    bench = scripted_bench(ScriptedEngine(script) if script else ScriptedEngine())
    plan = Plan("sums", grid(Recipe(), lams, Decoding(cap=200), group="g"), len(items), samples, command="sweep …")
    list(Runner(store, plan, items, lambda pair: bench, name=name, shard=shard).run())
    return store


def content(store, name="s"):
    """Everything of a study that must survive a journey."""
    info = store.study(name)
    cells = {row.key: row for row in store.cells(info.id)}
    items = {item.key: item for item in store.items(info.id)}
    return {s.key: (cells[s.cell], items[s.item], s, store.body(s.key)) for s in store.samples(info.id)}


class Disk:
    """A disk with as much room as a test gives it, for the store that is opened after it."""

    def __init__(self, monkeypatch):
        self.opened, connect = [], sqlite3.connect

        def watched(*args, **options):
            self.opened.append(connect(*args, **options))
            return self.opened[-1]

        monkeypatch.setattr(sqlite3, "connect", watched)

    def room(self, pages):
        """So many more pages fit (SQLite's own "database or disk is full" comes after them)."""
        used = self.opened[-1].execute("PRAGMA page_count").fetchone()[0]
        self.opened[-1].execute(f"PRAGMA max_page_count = {used + pages}")


def look(path, query):
    """The first value that SQLite itself gives for a query on the file."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query).fetchone()[0]
