"""The Trusted Twin REST API as data and pure functions: no I/O, no HTTP library, no asyncio."""
