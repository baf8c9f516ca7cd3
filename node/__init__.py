"""The assembled secondary node (二级节点): composes `resolver` and `sync`; only the load tests import it."""
