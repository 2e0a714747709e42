"""The sandbox's API, path by path, as Genesys's own SDK for Python sees it.

Each module is a subject and holds its tests; `case` is what they stand on. They never call the API but by the SDK.
"""
