"""The codec: bytes of ``accounts.json`` to a pool, and back by span.

``scan`` reads strict JSON and knows where each part lies; ``decode`` trusts nothing and builds the pool; ``encode`` edits
the spans that the engine owns and leaves every other byte alone; ``runtime`` is the shape of one account's runtime;
``faults`` names every fault with its place and a remedy. Refuses: paths, locks, scores.
"""
