"""The child of `parquet_check`: reads Parquet files whole, one path a line. It answers if it is still alive."""

from pathlib import Path

from mi_explorer.input_limits import parquet_rows
from mi_explorer.limited_process import serve
from mi_explorer.parquet_check import MEMORY
from mi_explorer.untyped import JsonObject


def read_through(request: JsonObject) -> JsonObject:
    """Decode every value of the file, and say how it went."""
    try:
        return {"rows": sum(1 for _ in parquet_rows(Path(request["path"])))}
    except Exception as error:  # noqa: BLE001 - an exception harms nobody; who reads the file meets the same one
        return {"error": type(error).__name__}


if __name__ == "__main__":
    serve(read_through, MEMORY)
