"""A run as a visitor asks for it."""


def ask(token="a", **view):
    return {
        "token": (token * 16)[:16],
        "kind": "here",
        "view": {"q": "What is 3 + 4?", "gold": "7", "lam": 0.5, **view},
    }
