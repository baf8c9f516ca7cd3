"""Upstream: what the keeper does towards the national top-level node (国家顶级节点).

`role` sees that one instance at a time does it; `link` is what it then does: changes are sent, all rows are verified
once a day, a heartbeat twice a minute.  `credentials` are the files with which we prove who we are, `levels` what
operators see.  `monitoring` measures the node, and `report` sums a month up.
"""
