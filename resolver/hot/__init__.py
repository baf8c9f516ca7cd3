"""Hot: ready answers, the exact bytes of a request -> the finished reply."""
