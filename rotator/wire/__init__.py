"""The wire: everything that speaks HTTP out. Refuses: deciding (``engine``) and what an answer means (``core.providers``)."""
