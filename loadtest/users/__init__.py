"""Users: locust's users that ask a node, and write to it; each module with a class of users is a locustfile.

Law: only the locustfiles (`web`, `native`, `registration`, `factory_day`, `shapes`) and `asking` import locust, which
rebuilds the standard library's sockets for gevent in whatever process imports it.  Nothing else here does, and no
process of ours imports those: locust is run as a program.
"""
