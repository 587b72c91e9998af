"""The codec: bytes of ``accounts.json`` to a pool, and back by span.

``scan`` reads strict JSON and knows where each part lies; ``decode`` trusts nothing and builds the pool; ``encode`` edits
the spans that the engine owns and leaves every other byte alone; ``runtime`` reads one account's runtime, ``rewrite`` lays
what is known over it, both by the tables of ``kinds``; ``faults`` names every fault with its place and a remedy. Refuses: paths, locks, scores.
"""
