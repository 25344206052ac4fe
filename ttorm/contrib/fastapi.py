"""FastAPI: a session for each request; records as path parameters and answers.

A model class is a type that pydantic knows: a parameter annotated with it takes a UUID and gives a
record, without asking the service; a record that a handler returns is sent as its fields.
"""

from ttorm.contrib.asgi import SessionMiddleware

__all__ = ["SessionMiddleware"]
