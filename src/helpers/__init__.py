"""Helper modules behind the notebooks of an in-vitro macrophage study."""

__version__ = "0.1.0"
