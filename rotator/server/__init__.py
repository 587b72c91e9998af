"""Server: what is served to people, over HTTP and on a terminal; questions only, nothing here changes a pool."""
