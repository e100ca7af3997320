"""The desk's process: ``python -m console``, for an image without the development servers."""

from console.cli import app

if __name__ == "__main__":
    app(prog_name="counterfoil")
